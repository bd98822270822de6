/* cli.h - the subcommands other than serve; each returns an exit status. */
#ifndef PREFD_CLI_CLI_H
#define PREFD_CLI_CLI_H

/* argv[0] is the subcommand's own name. 0 done, 1 failed, 2 usage. */
int cli_import(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_round(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_token(int argc, char **argv);
int cli_backup(int argc, char **argv);
int cli_restore(int argc, char **argv);

#endif

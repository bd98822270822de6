"""The container and the Kubernetes manifests, as far as they can be looked at
without a container engine or a cluster: fields that prefd depends on, names that
must agree with each other and with the rest of the tree."""

import os
import re
import subprocess

import yaml

from conftest import ROOT, call, daemon_kit, free_port, text_of


def documents():
    return list(yaml.safe_load_all(text_of("kubernetes.yaml")))


def one(kind):
    found = [d for d in documents() if d["kind"] == kind]
    assert len(found) == 1, kind
    return found[0]


def pod():
    return one("StatefulSet")["spec"]["template"]["spec"]


def container(name):
    return next(c for c in pod()["containers"] if c["name"] == name)


# --- Kubernetes --------------------------------------------------------------------------------


def test_the_kinds_and_their_versions():
    assert [(d["apiVersion"], d["kind"]) for d in documents()] == [
        ("v1", "ConfigMap"), ("apps/v1", "StatefulSet"), ("v1", "Service"), ("networking.k8s.io/v1", "NetworkPolicy")]
    for d in documents():
        assert d["metadata"]["name"] == "prefd" and d["metadata"]["labels"] == {"app": "prefd"}


def test_one_writer():
    spec = one("StatefulSet")["spec"]
    assert spec["replicas"] == 1 and spec["serviceName"] == one("Service")["metadata"]["name"]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert {"name": claim["metadata"]["name"], "mountPath": "/var/lib/prefd"} in container("prefd")["volumeMounts"]


def test_names_agree():
    labels = one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert one("StatefulSet")["spec"]["selector"]["matchLabels"] == labels
    assert one("Service")["spec"]["selector"] == labels
    assert one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    volumes = {v["name"] for v in pod()["volumes"]} | {"data"}
    for c in pod()["containers"]:
        assert {m["name"] for m in c["volumeMounts"]} <= volumes
    ports = {p["name"]: p["containerPort"] for p in container("proxy")["ports"]}
    assert one("Service")["spec"]["ports"][0]["targetPort"] in ports
    # The proxy's settings are deploy/haproxy.cfg.
    assert sorted(ports.values()) == sorted(int(n) for n in re.findall(r"^\tbind :(\d+)", text_of("haproxy.cfg"), re.MULTILINE))
    secrets = set(re.findall(r"/etc/prefd/tls/(\S+)", text_of("haproxy.cfg")))
    assert secrets == set(re.findall(r"--from-file=(\S+\.pem)", text_of("kubernetes.yaml")))


def test_probes_ask_what_prefd_answers(daemon):
    prefd, ports = container("prefd"), {p["name"]: p["containerPort"] for p in container("proxy")["ports"]}
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert prefd[probe]["httpGet"] == {"path": path, "port": ports["probes"]}
        assert daemon.request("GET", path).status == 200


def test_nothing_is_privileged():
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"]["runAsNonRoot"] is True and pod()["securityContext"]["runAsUser"] > 0
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for c in pod()["containers"]:
        assert c["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                        "capabilities": {"drop": ["ALL"]}}
        assert "limits" in c["resources"] and not c["image"].endswith(":latest") and ":" in c["image"]
    policy = one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"] and policy["egress"] == []
    assert {p["port"] for rule in policy["ingress"] for p in rule["ports"]} == {"https", "probes"}


def test_the_pod_stops_later_than_prefd():
    drain = int(re.search(r"DRAIN_SECONDS = (\d+)", open(os.path.join(ROOT, "server", "main.c")).read()).group(1))
    assert pod()["terminationGracePeriodSeconds"] >= 2 * drain


def test_the_settings_are_good(tmp_path):
    file = tmp_path / "prefd.conf"
    file.write_text(one("ConfigMap")["data"]["prefd.conf"])
    status, said = call(daemon_kit.BINARY, "serve", "--check", "--config", str(file), env=daemon_kit.clean_environment())
    assert status == 0, said


# --- the container ---------------------------------------------------------------------------------


def instructions():
    """(name, arguments) of the Containerfile, lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text_of("Containerfile"), flags=re.MULTILINE))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def packages(n):
    """What the n-th stage installs."""
    run = [a for i, a in instructions() if i == "RUN" and "apt-get install" in a][n]
    return set(re.findall(r"[a-z0-9.+-]+", run.split("--no-install-recommends")[1].split("&&")[0]))


def test_the_build_stage_installs_what_a_build_needs():
    with open(os.path.join(ROOT, "tests", "packages"), encoding="utf-8") as f:
        wanted = {line.split()[0] for line in f if line.strip() and line[0] != "#" and len(line.split()) == 1}
    assert packages(0) == wanted - {"curl"}  # `make run` alone needs it


def test_the_running_stage_has_the_libraries_that_the_binary_needs():
    direct = re.findall(r"NEEDED +(\S+)", subprocess.run(["objdump", "-p", daemon_kit.BINARY], capture_output=True,
                                                         text=True, check=True).stdout)
    found = dict(re.findall(r"(\S+) => (\S+)", subprocess.run(["ldd", daemon_kit.BINARY], capture_output=True, text=True,
                                                              check=True).stdout))
    owners = set()
    for library in direct:
        path = os.path.realpath(found.get(library, library))
        status, said = call("dpkg", "-S", f"*{path.removeprefix('/usr')}")
        assert status == 0, said
        owners |= {line.split(":")[0] for line in said.splitlines()}
    assert owners - {"libc6", "libgcc-s1"} <= packages(1) | {"libasan8", "libubsan1", "libtsan2"}


def test_what_is_copied_is_enough_to_build(tmp_path):
    """Make plans the whole build and install in a folder that holds only what the stage copies."""
    for name, arguments in instructions():
        if name == "COPY" and "--from" not in arguments and arguments.split()[1] != "/etc/prefd/prefd.conf":
            source, target = arguments.split()
            (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
            assert call("cp", "-r", os.path.join(ROOT, source), str(tmp_path / target))[0] == 0
    status, said = call("make", "-n", "install", "DESTDIR=/image", "PREFIX=/usr", cwd=tmp_path,
                        env={k: v for k, v in os.environ.items() if k not in ("BUILD", "MAKEFLAGS", "MAKELEVEL")})
    assert status == 0 and "/image/usr/bin/prefd" in said, said[-2000:]
    assert os.path.exists(os.path.join(ROOT, "deploy", "prefd.conf"))


def test_it_does_not_run_as_root():
    by_name = dict(instructions())
    assert by_name["USER"] == "8420" and "useradd --system --uid 8420" in text_of("Containerfile")
    assert by_name["VOLUME"] == "/var/lib/prefd"
    assert by_name["ENTRYPOINT"] == '["prefd"]' and by_name["CMD"] == '["serve", "--config", "/etc/prefd/prefd.conf"]'


def test_the_health_check_tells(daemon):
    """The command of HEALTHCHECK itself, with the daemon's port in 8420's place."""
    (arguments,) = [a for i, a in instructions() if i == "HEALTHCHECK"]
    command = yaml.safe_load(arguments[arguments.index("["):])
    assert command[:2] == ["bash", "-c"]

    def health(port):
        return call("bash", "-c", command[2].replace("/8420", f"/{port}"))

    status, said = health(daemon.port)
    assert status == 0, said
    assert health(free_port())[0] != 0

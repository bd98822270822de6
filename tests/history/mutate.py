CONTROLS=[]
def controls(x): return 0

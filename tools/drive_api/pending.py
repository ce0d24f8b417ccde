def absent(world):
    return [], []

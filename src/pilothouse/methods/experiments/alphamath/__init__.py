"""stub"""


def reproduce(scale, out, progress): ...

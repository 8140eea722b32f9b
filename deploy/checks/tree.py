"""What the checks of YAML files share."""


def scalars(node, path=""):
    """Paths and values of all scalars; what a list holds has the path of the list."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from scalars(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for value in node:
            yield from scalars(value, path)
    else:
        yield path, node

"""Templates of pages that need nothing else: no file, no network."""

import jinja2


def load_template(package: str, name: str) -> jinja2.Template:
    """Return a template of a package; it can include those of this one, the style among them.

    Args:
        package: Has a folder `templates`.
        name: Of the file in it.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package), jinja2.PackageLoader("sihwa.reporting")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)

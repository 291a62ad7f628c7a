"""Jinja templates of the pages; each page is one file that needs no network."""

import jinja2


def load_template(package: str, name: str) -> jinja2.Template:
    """Return a file of a package's `templates`; it may include those of this package."""
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

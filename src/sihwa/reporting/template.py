"""Jinja templates of the pages; each page is one file that needs no network."""

from typing import Any

import jinja2


def render_template(package: str, name: str, **values: Any) -> str:  # noqa: ANN401
    """Fill in a file of a package's `templates`; it may include those of this package."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package), jinja2.PackageLoader("sihwa.reporting")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(name).render(values)
    # a file name that is not valid text has lone surrogates, which UTF-8 cannot encode
    return page.encode("utf-8", "backslashreplace").decode("utf-8")

"""`ladnn site`: what is done to a site from its own machine."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ladnn.commands import backup
from ladnn.commands.extras import site_side
from ladnn.commands.inputs import SiteConfig
from ladnn.errors import DataError

if TYPE_CHECKING:
    from ladnn.service.context import Services

app = typer.Typer(no_args_is_help=True, help="Look after a site: its audit log, what it keeps.")
Result = TypeVar("Result")
app.command()(backup.backup)
app.command()(backup.restore)


@app.command("verify-log")
def verify_log(
    config: SiteConfig = None,
    head: Annotated[
        str | None, typer.Option(help="A head that was noted earlier, NUMBER:HASH.")
    ] = None,
) -> None:
    """Verify the chain of the audit log: exit code 1 when a line was changed, removed or moved.

    It prints the head of the chain. Note it where nobody who can write to the database can: with
    --head, a log that was written anew is found out too.

    Example: ladnn site verify-log --head 1042:9f86d081884c7d65...
    """

    def work(site: "Services") -> tuple[int, str, str]:
        from ladnn.service import audit_log

        verdict = audit_log.verify(site.database, head)
        fault = verdict.fault
        told = site.catalogues.say("en", fault, line=verdict.line) if fault else ""
        return verdict.lines, verdict.head, told

    lines, newest, fault = _with(config, work)
    typer.echo(f"{lines} lines hold; the head is {newest}")
    if fault:
        raise DataError(fault)


@app.command()
def purge(config: SiteConfig = None) -> None:
    """Delete what the settings say is to be deleted by now; the site does it every hour by itself.

    Example: ladnn site purge --config site.toml
    """

    def work(site: "Services") -> None:
        from ladnn.service import retention

        retention.purge(site, lambda kind, count: typer.echo(f"{kind}: {count} deleted"))

    _with(config, work)


@app.command("password-link")
def password_link(
    email: Annotated[str, typer.Argument(help="The address of the account.")],
    config: SiteConfig = None,
    second_factor: Annotated[
        bool, typer.Option("--second-factor", help="Forget the second factor too.")
    ] = False,
) -> None:
    """Print a link for a new password: for an administrator whom no other can help.

    Example: ladnn site password-link anna@hospital.org --second-factor
    """

    def work(site: "Services") -> str:
        from ladnn.service.server import address
        from ladnn.service.upkeep import rescue

        token = rescue(site, email, forget_factor=second_factor)
        return f"{address(site.settings)}/setup/{token}"

    typer.echo(_with(config, work))


def _with(config: Path | None, work: "Callable[[Services], Result]") -> Result:
    """Do something with the database and the files of a site, which may be running."""
    with site_side("a site"):
        from ladnn.service.settings import read_settings
        from ladnn.service.upkeep import opened_site
    with opened_site(read_settings(config)) as site:
        return work(site)

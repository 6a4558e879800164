"""The `scoter` command: its subcommands, their options and help, and how every failure ends.

This module must not know how a subcommand does its work; it loads that only when it is asked for.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal

import typer

from scoter import __version__
from scoter.cli.console import errors, notice, show_error
from scoter.cli.formats import Format
from scoter.errors import Cancelled, ConfigurationError, ScoterError

app = typer.Typer(
    name="scoter",
    help="SQL over Apache Iceberg with ONNX models inside it, served over Arrow Flight SQL.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
user = typer.Typer(help="Users of a lake: who may log in, and as what.", no_args_is_help=True)
model = typer.Typer(help="Models of a lake.", no_args_is_help=True)
app.add_typer(user, name="user")
app.add_typer(model, name="model")

LakeOption = Annotated[Path, typer.Option("--lake", "-l", metavar="DIR", help="The lake's directory.")]
LoginOption = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="User to log in as at a server.")
]
AuthorityOption = Annotated[
    Path | None, typer.Option("--tls-ca", metavar="FILE", help="PEM file with the authority to trust.")
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
]


def _examples(*lines: str) -> str:
    return "\n\n".join(["[bold]Examples[/bold]", *(f"[cyan]{line}[/cyan]" for line in lines)])


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scoter {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog=_examples(
        "scoter serve",
        "scoter serve ./lake --port 0",
        "scoter serve /srv/lake --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
    )
)
def serve(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The lake's directory.")] = Path("lake"),
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Address to listen on; 127.0.0.1 unless set.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port; 31337 unless set, 0 takes a free one.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file with the certificate chain.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file with the private key.")
    ] = None,
) -> None:
    """Serve a lake over Arrow Flight SQL until SIGTERM or Ctrl-C.

    Prints one line, "scoter ready ADDRESS", on standard output once it
    accepts calls. Settings come from scoter.toml in DIR, from SCOTER_… in
    the environment and from these options; later ones win.
    """
    from scoter.cli.serving import serve_lake

    given = {"host": host, "port": port, "tls_cert": tls_cert, "tls_key": tls_key}
    serve_lake(directory, {name: value for name, value in given.items() if value is not None})


@app.command(
    epilog=_examples(
        "scoter sql",
        "scoter sql grpc://127.0.0.1:31337 -c 'SELECT count(*) FROM flights'",
        "scoter sql ./lake -f report.sql --format csv -o report.csv",
        "echo 'SHOW TABLES' | scoter sql ./lake",
    )
)
def sql(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="grpc://HOST:PORT, grpc+tls://HOST:PORT, or a directory.")
    ] = "lake",
    command: Annotated[
        list[str] | None, typer.Option("-c", "--command", metavar="SQL", help="Run SQL; may be repeated.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", metavar="FILE", help="Run a script; - is standard input.")
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format", help="As the name of -o says unless set, else table. json: one object a line."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write results to a file.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="Rows of a result that a table shows.")] = 40,
    user: LoginOption = None,
    tls_ca: AuthorityOption = None,
    timing: Annotated[bool | None, typer.Option("--timing/--no-timing", help="Say how long it took.")] = None,
) -> None:
    """Run SQL on a server, or in this process on a lake's directory.

    Without -c and -f, statements are read from standard input; on a
    terminal that is a prompt. A password is asked for, or taken from
    SCOTER_PASSWORD in the environment.
    """
    from scoter.cli.sql import Request, run_sql

    run_sql(Request(target, tuple(command or ()), file, format_, out, rows, user, tls_ca, timing))


@app.command(epilog=_examples("scoter demo", "scoter demo --keep ./demo"))
def demo(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Make the lake in DIR and leave it there.")
    ] = None,
) -> None:
    """Tell the whole story on a year of real flights: load, query, score, crash, recover."""
    from scoter.cli.demo.story import tell

    tell(keep)


@user.command(
    "add",
    epilog=_examples(
        "scoter user add anna --role admin",
        "scoter user add bi --role reader --lake /srv/lake --password-stdin < secret",
    ),
)
def user_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")],
    role: Annotated[
        Literal["reader", "writer", "admin"],
        typer.Option(help="reader may query, writer may also write, admin may do all."),
    ],
    lake: LakeOption = Path("lake"),
    password_stdin: PasswordStdin = False,
) -> None:
    """Add a user. From the first one on, the server demands a login."""
    from scoter.cli import users

    users.add(lake, name, role, users.new_password(from_stdin=password_stdin))


@user.command("password", epilog=_examples("scoter user password anna"))
def user_password(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")],
    lake: LakeOption = Path("lake"),
    password_stdin: PasswordStdin = False,
) -> None:
    """Change a user's password; the user's logins end."""
    from scoter.cli import users

    users.change_password(lake, name, users.new_password(from_stdin=password_stdin))


@user.command("list", epilog=_examples("scoter user list --lake /srv/lake"))
def user_list(lake: LakeOption = Path("lake")) -> None:
    """List the users and their roles."""
    from scoter.cli import users

    users.show(lake)


@model.command(
    "add",
    epilog=_examples(
        "scoter model add churn churn.onnx",
        "scoter model add churn churn_v2.onnx --alias challenger",
        "scoter model add churn churn.onnx --server grpc://127.0.0.1:31337",
    ),
)
def model_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name, or schema.name.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The ONNX file.")],
    lake: LakeOption = Path("lake"),
    server: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Send it to a server instead: grpc://HOST:PORT, ….")
    ] = None,
    user: LoginOption = None,
    tls_ca: AuthorityOption = None,
    alias: Annotated[
        str | None, typer.Option(metavar="ALIAS", help="An alias for this version, such as champion.")
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="Make this version the default.")] = False,
) -> None:
    """Register a model; when there is one of that name, add the file as its next version.

    A large file goes to a server in pieces. A password is asked for, or
    taken from SCOTER_PASSWORD in the environment.
    """
    from scoter.cli.models import add

    add(server or str(lake), name, file, user=user, authority=tls_ca, alias=alias, default=default)


@app.command(
    "import",
    epilog=_examples(
        "scoter import flights flights.parquet",
        "scoter import sales.orders orders-2024-*.csv.gz --lake /srv/lake",
    ),
)
def import_(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The table's name, or schema.table.")],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Parquet, CSV or JSON files, plain or compressed.")
    ],
    lake: LakeOption = Path("lake"),
) -> None:
    """Load files into a table with one commit; a table that is missing is created.

    Columns go by name. A new table takes its types from the files: create
    the table first where the values of a CSV file mean something else.
    """
    from scoter.cli.importing import import_files

    import_files(lake, table, files)


def main() -> None:
    """Run the command and exit: 0 done, 1 failed, 2 wrongly called or configured, 130 interrupted."""
    try:
        app()
    except Cancelled as error:
        show_error(error)
        sys.exit(130)
    except ConfigurationError as error:
        show_error(error)
        sys.exit(2)
    except ScoterError as error:
        show_error(error)
        sys.exit(1)
    except Exception:  # noqa: BLE001  # a defect: the user gets a message, the traceback goes to a file
        _defect()
        sys.exit(1)


def _defect() -> None:
    from scoter.cli.prompt import state_directory

    kind, value, _ = sys.exc_info()
    errors().print(
        f"error: scoter failed in a way it was not built for: {kind.__name__ if kind else ''}: {value}"
    )
    try:
        path = state_directory() / "crash.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc())
    except (OSError, RuntimeError):
        return
    notice(f"details are in {path}")

"""What a contributor said of an image is kept beside what the review decided."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _labels() -> tuple[sa.ColumnClause[bool], sa.ColumnClause[list[bool | None]]]:
    return sa.column("covid", sa.Boolean), sa.column("lesions", sa.JSON)


CASES = sa.table(
    "contributions",
    sa.column("id", sa.Integer),
    sa.column("state", sa.String),
    *_labels(),
    sa.column("given_covid", sa.Boolean),
    sa.column("given_lesions", sa.JSON),
)
CORRECTIONS = sa.table(
    "reviews",
    sa.column("contribution_id", sa.Integer),
    sa.column("verdict", sa.String),
    *_labels(),
)


def upgrade() -> None:
    """Add the columns; where a correction was accepted, what was given is gone."""
    op.add_column("contributions", sa.Column("given_covid", sa.Boolean()))
    op.add_column("contributions", sa.Column("given_lesions", sa.JSON()))
    found = op.get_bind()
    corrected: dict[int, list[tuple[bool, list[bool | None]]]] = {}
    for row in found.execute(sa.select(CORRECTIONS).where(CORRECTIONS.c.verdict == "correct")):
        corrected.setdefault(row.contribution_id, []).append((row.covid, row.lesions))
    op.execute(CASES.update().values(given_covid=CASES.c.covid, given_lesions=CASES.c.lesions))
    for row in found.execute(sa.select(CASES).where(CASES.c.state == "accepted")).all():
        if (row.covid, row.lesions) in corrected.get(row.id, []):
            lost = CASES.update().where(CASES.c.id == row.id)
            op.execute(lost.values(given_covid=None, given_lesions=sa.null()))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("contributions", "given_lesions")
    op.drop_column("contributions", "given_covid")

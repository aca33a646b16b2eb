"""What was given is also known of settled cases whose correction was not accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def _labels() -> tuple[sa.ColumnClause[bool], sa.ColumnClause[list[bool | None]]]:
    return sa.column("covid", sa.Boolean), sa.column("lesions", sa.JSON)


CASES = sa.table(
    "contributions",
    sa.column("id", sa.Integer),
    *_labels(),
    sa.column("given_covid", sa.Boolean),
    sa.column("given_lesions", sa.JSON),
)
REVIEWS = sa.table(
    "reviews",
    sa.column("contribution_id", sa.Integer),
    sa.column("verdict", sa.String),
    *_labels(),
)


def upgrade() -> None:
    """Fill the columns where they are empty and no correction stands: the labels are as given."""
    found = op.get_bind()
    corrected: dict[int, list[tuple[bool, list[bool | None]]]] = {}
    for row in found.execute(sa.select(REVIEWS).where(REVIEWS.c.verdict == "correct")):
        corrected.setdefault(row.contribution_id, []).append((row.covid, row.lesions))
    for row in found.execute(sa.select(CASES).where(CASES.c.given_covid.is_(None))).all():
        if (row.covid, row.lesions) not in corrected.get(row.id, []):
            filled = CASES.update().where(CASES.c.id == row.id)
            op.execute(filled.values(given_covid=row.covid, given_lesions=row.lesions))


def downgrade() -> None:
    """Leave them: they are right, and 0012 drops them."""

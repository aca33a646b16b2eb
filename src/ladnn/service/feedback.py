"""What a clinician says of a result, or takes back: their judgement and what the PCR test found."""

from sqlalchemy.orm import Session

from ladnn.service import audit_log
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import Services
from ladnn.service.errors import BadRequest
from ladnn.service.predictions import find_own, find_shared
from ladnn.service.tables import Feedback

AGREEMENTS = ("agree", "disagree")
PCR_RESULTS = ("positive", "negative")
SAID = ("agreement", "pcr")


def give_feedback(
    site: Services,
    principal: Principal,
    case_of: str,
    *,
    by_token: bool,
    agreement: str | None,
    pcr: str | None,
) -> Feedback:
    """Keep what a clinician says of a case, and give all that they have said of it.

    None leaves what was said before.

    Raises:
        BadRequest: two times None, or words other than `AGREEMENTS` and `PCR_RESULTS`.
        NotFound: an id of somebody else's case, or a link that leads nowhere.
    """
    known = agreement in (None, *AGREEMENTS) and pcr in (None, *PCR_RESULTS)
    if not known or (agreement is None and pcr is None):
        raise BadRequest("error.fields")
    find = find_shared if by_token else find_own

    def write(session: Session) -> Feedback:
        case = find(session, principal, case_of)
        author = principal.owner
        said = next((one for one in case.feedback if one.author == author), None)
        if said is None:
            said = Feedback(author=author)
            case.feedback.append(said)
        if pcr not in (None, said.pcr):
            said.changed_at = site.clock()
        said.agreement, said.pcr = agreement or said.agreement, pcr or said.pcr
        detail = {"agreement": said.agreement, "pcr": said.pcr}
        audit_log.record(session, principal, "feedback.give", audit_log.name_of(case), detail)
        return said

    return site.database.write(write)


def withdraw_feedback(
    site: Services, principal: Principal, case_of: str, *, by_token: bool, what: str | None = None
) -> Feedback:
    """Take back one of `SAID`, or both where it is None, and give what is left of it.

    What was never said, or is taken back already, is done.

    Raises:
        BadRequest: another word.
        NotFound: an id of somebody else's case, or a link that leads nowhere.
    """
    if what not in (None, *SAID):
        raise BadRequest("error.fields")
    find = find_shared if by_token else find_own

    def write(session: Session) -> Feedback:
        case = find(session, principal, case_of)
        said = next((one for one in case.feedback if one.author == principal.owner), None)
        gone = [one for one in SAID if what in (None, one) and getattr(said, one, None) is not None]
        if said is None or not gone:
            return said or Feedback()
        for one in gone:
            setattr(said, one, None)
        if said.agreement is None and said.pcr is None:
            case.feedback.remove(said)
        audit_log.record(
            session, principal, "feedback.withdraw", audit_log.name_of(case), {"what": gone}
        )
        return said

    return site.database.write(write)

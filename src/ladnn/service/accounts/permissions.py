"""What each role may do: one visible table; what is not in it is denied."""

from enum import StrEnum


class Role(StrEnum):
    """Who somebody is to the site."""

    VISITOR = "visitor"
    CLINICIAN = "clinician"
    CURATOR = "curator"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    """One kind of thing that may be done; every route asks for exactly one."""

    OPERATE = "operate"  # health, readiness, static files, the interface's description
    READ_PUBLIC = "read_public"  # about, models, help
    SIGN_IN = "sign_in"  # sign in and out, invitations, forgotten passwords
    TEST = "test"  # test an image or a batch
    READ_CASE = "read_case"  # own results, and those whose link one has
    CHANGE_CASE = "change_case"  # retract or delete own results
    GIVE_FEEDBACK = "give_feedback"  # agree, disagree, enter the PCR result
    CONTRIBUTE = "contribute"  # give cases to the collection
    REVIEW = "review"  # accept, correct or reject contributions
    EXPORT_DATASET = "export_dataset"  # make and download versions of the collection
    MANAGE_SELF = "manage_self"  # own account, own keys
    MANAGE_ACCOUNTS = "manage_accounts"
    MANAGE_MODELS = "manage_models"  # promote, roll back
    READ_AUDIT = "read_audit"
    READ_METRICS = "read_metrics"


_ANYONE = {
    Permission.OPERATE,
    Permission.READ_PUBLIC,
    Permission.SIGN_IN,
    Permission.TEST,
    Permission.READ_CASE,
    Permission.CHANGE_CASE,
    Permission.READ_METRICS,  # the route itself answers to the addresses of the settings alone
}
_CLINICIAN = _ANYONE | {
    Permission.GIVE_FEEDBACK,
    Permission.CONTRIBUTE,
    Permission.MANAGE_SELF,
}
_CURATOR = _CLINICIAN | {Permission.REVIEW, Permission.EXPORT_DATASET}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VISITOR: frozenset(_ANYONE),
    Role.CLINICIAN: frozenset(_CLINICIAN),
    Role.CURATOR: frozenset(_CURATOR),
    Role.ADMINISTRATOR: frozenset(Permission),
}

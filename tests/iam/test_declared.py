"""Users that the configuration file declares, and what outlives a restart."""

from harness.accounts import OTHER, Account
from harness.clients import query_client, refused, s3_client
from harness.identities import allow, keys_of, session_of, trust

ANN = Account("ann", "", "", "DECLAREDANNKEY", "declared-secret-for-tests")


def declaration(policy: str) -> str:
    """The table of a user of the last account, which is the other one."""
    return (
        "\n[[account.users]]\n"
        f'name = "ann"\npath = "/team/"\nid = "AIDADECLARED"\npolicy = \'{policy}\'\n'
        f'keys = [{{ access_key = "{ANN.access_key}", secret_key = "{ANN.secret_key}" }}]\n'
        'policies = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]\n'
    )


def restart_with(server, declared: str):
    """Starts the server with this after its own configuration."""
    server.stop()
    plain = server.config.read_text().split("\n[[account.users]]")[0]
    server.config.write_text(plain + declared)
    server.start()


def test_a_declared_user_is_made_once_and_never_overwritten(special_server):
    server = special_server()
    restart_with(server, declaration(allow("iam:GetUser", "*")))
    user = query_client("iam", server.endpoint, ANN).get_user()["User"]
    assert user["UserId"] == "AIDADECLARED"
    assert user["Arn"] == f"arn:aws:iam::{OTHER.identity}:user/team/ann"
    client = s3_client(server.endpoint, ANN)
    client.list_buckets()
    with refused(403, "AccessDenied"):
        client.create_bucket(Bucket="a-bucket-of-ann")
    restart_with(server, declaration(allow("s3:*", "*")))
    assert "not applied: user ann of account" in server.logged
    with refused(403, "AccessDenied"):
        s3_client(server.endpoint, ANN).create_bucket(Bucket="a-bucket-of-ann")
    query_client("iam", server.endpoint, ANN).get_user()


def test_users_roles_and_sessions_outlive_a_restart(special_server):
    server = special_server()
    iam = query_client("iam", server.endpoint, OTHER)
    iam.create_user(UserName="ann")
    keys = keys_of(iam, "ann")
    text = allow("s3:ListAllMyBuckets", "*")
    iam.put_user_policy(UserName="ann", PolicyName="list", PolicyDocument=text)
    iam.create_role(RoleName="lister", AssumeRolePolicyDocument=trust(OTHER.identity))
    iam.put_role_policy(RoleName="lister", PolicyName="list", PolicyDocument=text)
    arn = f"arn:aws:iam::{OTHER.identity}:role/lister"
    sts = query_client("sts", server.endpoint, OTHER)
    session = session_of(sts.assume_role(RoleArn=arn, RoleSessionName="session"))
    server.stop()
    server.start()
    for account in (keys, session):
        s3_client(server.endpoint, account).list_buckets()

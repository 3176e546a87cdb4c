"""Policies of users and roles, their keys, and taking them away again."""

import json

from harness.accounts import Account


def document(*statements) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource, **more) -> str:
    """A policy that allows one thing."""
    return document({"Effect": "Allow", "Action": action, "Resource": resource, **more})


def trust(principal: str, **more) -> str:
    """The policy of a role that trusts an account, a user or a role."""
    allowed = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}}
    return document({**allowed, **more})


def keys_of(iam, user: str) -> Account:
    """A new pair of keys of a user."""
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return Account(user, "", "", made["AccessKeyId"], made["SecretAccessKey"])


def session_of(answer) -> Account:
    """The credentials in an answer of STS."""
    made = answer["Credentials"]
    keys = (made["AccessKeyId"], made["SecretAccessKey"])
    return Account("session", "", "", *keys, token=made["SessionToken"])


def remove(iam, kind: str, name: str):
    """Deletes an entity with all that belongs to it; that it is gone already is no error."""
    try:
        if kind == "policy":
            remove_policy(iam, name)
            return
        named = {f"{kind.title()}Name": name}
        if kind == "user":
            for key in iam.list_access_keys(**named)["AccessKeyMetadata"]:
                iam.delete_access_key(**named, AccessKeyId=key["AccessKeyId"])
            for group in iam.list_groups_for_user(**named)["Groups"]:
                iam.remove_user_from_group(**named, GroupName=group["GroupName"])
        for policy in getattr(iam, f"list_{kind}_policies")(**named)["PolicyNames"]:
            getattr(iam, f"delete_{kind}_policy")(**named, PolicyName=policy)
        for policy in getattr(iam, f"list_attached_{kind}_policies")(**named)["AttachedPolicies"]:
            getattr(iam, f"detach_{kind}_policy")(**named, PolicyArn=policy["PolicyArn"])
        getattr(iam, f"delete_{kind}")(**named)
    except iam.exceptions.NoSuchEntityException:
        pass
    except iam.exceptions.DeleteConflictException:
        # A group whose members go after it.
        if kind != "group":
            raise


def remove_policy(iam, name: str):
    """Deletes a managed policy with its versions."""
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        if policy["PolicyName"] != name:
            continue
        arn = policy["Arn"]
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=arn)

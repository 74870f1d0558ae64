"""Files that let other services of continuous integration do what dsvc does: GitHub, GitLab and CircleCI.

Each has the same shell lines. The code comes from git, as the service checked it out, and what git does not keep from
a remote of dsvc (`DSVC_REMOTE`), metadata first. Sources of the forms: docs.github.com/actions (workflow syntax),
docs.gitlab.com/ci/yaml, circleci.com/docs/configuration-reference.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, get_args

from dsvc.deployments.yaml_text import yaml_text

Service = Literal["github", "gitlab", "circleci"]
SERVICES: Final[tuple[Service, ...]] = get_args(Service)
_ABOUT = "# Written by 'dsvc ci init {service}'. DSVC_REMOTE, and what reaching it takes, are variables to set there."


class Wanted(NamedTuple):
    """What the pipeline shall do: gates of a report, commands that deploy, the main branch, Python's version.

    `extras` are those of dsvc that have to be installed, such as `s3`.
    """

    gates: Sequence[str] = ()
    deploy: Sequence[str] = ()
    branch: str = "main"
    python: str = "3.12"
    extras: Sequence[str] = ()


def service_files(service: Service, wanted: Wanted) -> dict[str, str]:
    """Return path and text of each file."""
    make: dict[Service, Callable[[Wanted], dict[str, str]]] = {
        "github": _github,
        "gitlab": _gitlab,
        "circleci": _circleci,
    }
    return make[service](wanted)


def _install(wanted: Wanted) -> list[str]:
    extras = f"[{','.join(wanted.extras)}]" if wanted.extras else ""
    return [f'python -m pip install --quiet "${{DSVC_PACKAGE:-dsvc{extras}}}"']


def _clone(branch: str) -> list[str]:
    """Return lines that lead to a clone with the metadata, on the branch, with the code as git has it."""
    return [
        f'source=$(pwd); project=$(mktemp -d)/project; branch="{branch}"',
        'dsvc clone --quiet --no-data "$DSVC_REMOTE" "$project" && cd "$project"',
        'dsvc switch --quiet "$branch" || dsvc switch --quiet --create "$branch"',
        'git -C "$source" archive HEAD | tar -x --exclude=.dsvc',
    ]


def _check(wanted: Wanted) -> list[str]:
    """Return lines that make what is out of date, keep it, and write the report; `passed` is 0 if all gates hold."""
    gates = "".join(f" --gate {shlex.quote(gate)}" for gate in wanted.gates)
    main = shlex.quote(wanted.branch)
    return [
        f"main={main}; against=origin/$main...HEAD",
        'if [ "$branch" = "$main" ]; then against=$(dsvc rev-parse -q --verify HEAD~1 || echo HEAD)..HEAD; fi',
        "if grep -qs '^\\[stages' dsvc.toml; then dsvc repro; fi",
        'made="ci: $(git -C "$source" rev-parse HEAD)"',
        'if [ -n "$(dsvc status --porcelain)" ]; then dsvc commit --quiet --yes -m "$made"; fi',
        'dsvc push --quiet --runs --force-with-lease origin "HEAD:heads/ci/$branch" || echo "it is not kept there"',
        f'passed=0; dsvc report "$against"{gates} --output "$source/report.md" || passed=$?',
        'cd "$source"',
    ]


def _deliver(wanted: Wanted) -> list[str]:
    return ["dsvc ci run merge", *wanted.deploy]


def _github(wanted: Wanted) -> dict[str, str]:
    branch = "${GITHUB_HEAD_REF:-$GITHUB_REF_NAME}"
    post = [
        'cat report.md >> "$GITHUB_STEP_SUMMARY"',
        'say() { gh pr comment "$PR" --body-file report.md "$@"; }',
        'if [ -n "$PR" ]; then say --edit-last || say; fi',
        "exit $passed",
    ]
    setup = [
        {"uses": "actions/checkout@v4"},
        {"uses": "actions/setup-python@v5", "with": {"python-version": wanted.python}},
        {"name": "Install dsvc", "run": _script(_install(wanted))},
    ]
    variables = {"DSVC_REMOTE": "${{ vars.DSVC_REMOTE }}", "DSVC_USER_NAME": "ci", "DSVC_USER_EMAIL": "ci@localhost"}
    workflow = {
        "name": "dsvc",
        "on": {"push": {"branches": [wanted.branch]}, "pull_request": {}},
        "permissions": {"contents": "read", "pull-requests": "write"},
        "env": variables,
        "jobs": {
            "check": {
                "runs-on": "ubuntu-latest",
                "steps": [
                    *setup,
                    {
                        "name": "Make what is out of date, compare, and say it",
                        "env": {"GH_TOKEN": "${{ github.token }}", "PR": "${{ github.event.pull_request.number }}"},
                        "run": _script([*_clone(branch), *_check(wanted), *post]),
                    },
                ],
            },
            "deliver": {
                "needs": "check",
                "if": f"github.event_name == 'push' && github.ref == 'refs/heads/{wanted.branch}'",
                "runs-on": "ubuntu-latest",
                "steps": [
                    *setup,
                    {"name": "Deliver", "run": _script([*_clone(wanted.branch), *_deliver(wanted)])},
                ],
            },
        },
    }
    return {".github/workflows/dsvc.yml": _yaml("github", workflow)}


def _gitlab(wanted: Wanted) -> dict[str, str]:
    branch = "${CI_MERGE_REQUEST_SOURCE_BRANCH_NAME:-$CI_COMMIT_REF_NAME}"
    post = [
        'notes="$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/${CI_MERGE_REQUEST_IID:-}/notes"',
        'if [ -n "${CI_MERGE_REQUEST_IID:-}" ] && [ -n "${GITLAB_TOKEN:-}" ]; then',
        '  curl --fail --silent --show-error --output /dev/null --header "PRIVATE-TOKEN: $GITLAB_TOKEN" \\',
        '    --data-urlencode "body@report.md" "$notes"',
        "fi",
        "exit $passed",
    ]
    pipeline = {
        "default": {"image": f"python:{wanted.python}", "before_script": _install(wanted)},
        "variables": {"DSVC_USER_NAME": "ci", "DSVC_USER_EMAIL": "ci@localhost"},
        "stages": ["check", "deliver"],
        "check": {
            "stage": "check",
            "script": [_script([*_clone(branch), *_check(wanted), *post])],
            "artifacts": {"when": "always", "paths": ["report.md"]},
            "rules": [
                {"if": "$CI_PIPELINE_SOURCE == 'merge_request_event'"},
                {"if": f"$CI_COMMIT_BRANCH == '{wanted.branch}'"},
            ],
        },
        "deliver": {
            "stage": "deliver",
            "script": [_script([*_clone(wanted.branch), *_deliver(wanted)])],
            "rules": [{"if": f"$CI_PIPELINE_SOURCE == 'push' && $CI_COMMIT_BRANCH == '{wanted.branch}'"}],
        },
    }
    return {".gitlab-ci.yml": _yaml("gitlab", pipeline)}


def _circleci(wanted: Wanted) -> dict[str, str]:
    branch = "$CIRCLE_BRANCH"
    executor = {
        "docker": [{"image": f"cimg/python:{wanted.python}"}],
        "environment": {"DSVC_USER_NAME": "ci", "DSVC_USER_EMAIL": "ci@localhost"},
    }
    install = {"run": {"name": "Install dsvc", "command": _script(_install(wanted))}}
    post = [
        'if [ -n "${CIRCLE_PULL_REQUEST:-}" ] && [ -n "${GITHUB_TOKEN:-}" ]; then',
        '  issue="$CIRCLE_PROJECT_USERNAME/$CIRCLE_PROJECT_REPONAME/issues/${CIRCLE_PULL_REQUEST##*/}"',
        """  python -c 'import json; print(json.dumps({"body": open("report.md").read()}))' > report.json""",
        '  curl --fail --silent --show-error --output /dev/null --header "Authorization: Bearer $GITHUB_TOKEN" \\',
        '    --data @report.json "https://api.github.com/repos/$issue/comments"',
        "fi",
        "exit $passed",
    ]
    check = {"name": "Make what is out of date, compare, and say it"}
    pipeline = {
        "version": 2.1,
        "jobs": {
            "check": {
                **executor,
                "steps": [
                    "checkout",
                    install,
                    {"run": {**check, "command": _script([*_clone(branch), *_check(wanted), *post])}},
                    {"store_artifacts": {"path": "report.md"}},
                ],
            },
            "deliver": {
                **executor,
                "steps": [
                    "checkout",
                    install,
                    {"run": {"name": "Deliver", "command": _script([*_clone(wanted.branch), *_deliver(wanted)])}},
                ],
            },
        },
        "workflows": {
            "dsvc": {
                "jobs": [
                    "check",
                    {"deliver": {"requires": ["check"], "filters": {"branches": {"only": wanted.branch}}}},
                ]
            }
        },
    }
    return {".circleci/config.yml": _yaml("circleci", pipeline)}


def _script(lines: Sequence[str]) -> str:
    return "\n".join(["set -eu", *lines, ""]) if len(lines) > 1 else lines[0]


def _yaml(service: Service, document: Mapping[str, object]) -> str:
    return f"{_ABOUT.format(service=service)}\n{yaml_text(document, blocks=True)}"

"""`deploy`: images, a release in the idle slot, proof, switch; and what to do when something of it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bluegreen.app import images as imaging
from bluegreen.app.asking import account
from bluegreen.app.canary import end_abandoned, refuse_while_shared
from bluegreen.app.failing import fail
from bluegreen.app.ground import lay_ground
from bluegreen.app.rebuild import rebuild
from bluegreen.app.site import Site, begin, describe, end, lease, need_ended, need_journal, operation_id
from bluegreen.app.status import Status, report
from bluegreen.app.tools import look_in_public, rendering, seconds, smoke_preview
from bluegreen.model.errors import BluegreenError, Overtaken, Refused
from bluegreen.model.events import Event
from bluegreen.model.history import Operation
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed
from bluegreen.model.project import Project
from bluegreen.model.release import Release
from bluegreen.planning.deploy import Deployment, draft, plan_deploy
from bluegreen.planning.place import Creator, from_project, only_existing
from bluegreen.planning.rollback import Target, plan_rollback
from bluegreen.planning.steps import Plan
from bluegreen.probes.public import Look
from bluegreen.proxy.session import ProxySession

if TYPE_CHECKING:
    from bluegreen.app.proving import Accompanied
    from bluegreen.prove.receipt import Receipt


REUSED = "a deploy would take its slot"


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """What was asked for. ``load`` loads the project for a tag: the file may use ``${TAG}``."""

    load: Callable[[str | None], Project]
    tag: str | None = None
    source: str | None = None  # overrides the file's
    rebuild: bool = False
    force: bool = False
    stage: bool = False
    dry_run: bool = False
    reason: str | None = None
    prove: bool = False  # put what is live under load meanwhile, and count every response
    canary: tuple[int, ...] = ()  # percentages that follow a stage, for the dry run
    hold: float | None = None  # seconds that each of them waits for a verdict


@dataclass(frozen=True, slots=True)
class DeployResult:
    """``outcome``: switched, staged, warm-switched (it stood by already), nothing, planned."""

    outcome: str
    release: Release
    slot: Slot
    previous: Release | None = None
    seconds: float = 0.0
    plan: tuple[Mapping[str, str], ...] = ()
    notices: tuple[str, ...] = ()
    after: Status | None = None  # how things stand now; None where that can't be told
    public: Look | None = None
    proof: Receipt | None = None


def deploy(site: Site, request: DeployRequest) -> DeployResult:
    """Deploy. Raises on any failure, after live traffic was left or put back as it was."""
    start = site.clock()
    source = imaging.find_source(request.load(request.tag), request.source, request.tag)
    project = request.load(source.tag)
    for notice in (*project.notices, *source.notices):
        site.notice(getattr(notice, "message", str(notice)), getattr(notice, "where", ""))
    if request.dry_run:
        return _dry_run(site, project, source, request)
    lay_ground(site, project)
    with _accompanied(site, project, request) as proof, site.session() as session:
        result = _deploy(proof.site if proof else site, session, request, project, source, start, proof)
        receipt = proof.finish() if proof else None
        after, public = _look_around(site, session, result.outcome)
    return dataclasses.replace(result, after=after, public=public, proof=receipt)


def _accompanied(site: Site, project: Project, request: DeployRequest) -> AbstractContextManager[Accompanied | None]:
    if not request.prove:
        return nullcontext()
    from bluegreen.app.proving import Accompanied

    return Accompanied(site, project.prove)


def _deploy(
    site: Site,
    session: ProxySession,
    request: DeployRequest,
    project: Project,
    source: imaging.Source,
    start: float,
    proof: Accompanied | None,
) -> DeployResult:
    observed = site.observe(session)
    if observed.forgotten:
        rebuild(site, session)
        observed = site.observe(session)
    need_journal(observed)
    observed = end_abandoned(site, session, observed)
    need_ended(observed, but=lambda o: _same(o, source.tag))
    refuse_while_shared(observed, REUSED)
    unfinished = observed.history.unfinished
    operation_name = unfinished.id if unfinished else operation_id("deploy")
    with lease(site, session, operation_name) as epoch:
        ids = imaging.ensure_images(site, project, source, rebuild=request.rebuild)
        observed = site.observe(session)
        deployment, outcome = _decide(site, observed, project, source, ids, operation_name, request)
        if outcome == "nothing":
            return DeployResult("nothing", deployment.release, deployment.slot, seconds=seconds(site, start))
        if proof is not None:
            proof.begin(session, observed)
        if outcome == "warm":
            return _switch_to_standby(site, session, epoch, observed, deployment, start)
        plan = plan_deploy(observed, deployment)
        for line in plan.notices:
            site.notice(line)
        _announce(site, observed, deployment)
        run(site, session, epoch, observed, deployment, plan)
    return DeployResult(
        "staged" if request.stage else "switched",
        deployment.release,
        deployment.slot,
        observed.live_release,
        seconds(site, start),
        notices=plan.notices,
    )


def _look_around(site: Site, session: ProxySession, outcome: str) -> tuple[Status | None, Look | None]:
    """How things stand afterwards. That it can't be told takes nothing from what was done and verified."""
    try:
        observed = site.observe(session, networks=False)
        after = report(observed, site.engine.public)
        if not after.url or outcome != "switched":
            return after, None
        public = look_in_public(site, session, after.url, observed)
    except BluegreenError:
        return None, None
    site.emit(Event("step-done", "public", str(public), "", public.ms, {"phase": "public"}))
    return after, public


def run(site: Site, session: ProxySession, epoch: int, observed: Observed, deployment: Deployment, plan: Plan) -> None:
    """Begin, execute, end; on failure put things back as far as they must be."""
    operation = _operation(site, observed, deployment)
    executor = site.executor(
        session, epoch, render=rendering(site, soon=True), preview=smoke_preview(site, session, deployment.release)
    )
    try:
        begin(session, epoch, operation, _released(deployment, operation))
        executor.run(plan)
        end(session, epoch, operation.id, "done")
    except Overtaken:
        raise
    except (BluegreenError, KeyboardInterrupt) as error:
        fail(site, session, epoch, operation, deployment, error, executor)
        raise


def continue_without_file(
    site: Site, session: ProxySession, epoch: int, observed: Observed, operation: Operation
) -> Release:
    """Go on with an interrupted deploy from what the engine has. Raises `Refused` when that takes the file."""
    release = observed.release(operation.release or 0)
    if release is None or operation.slot is None:
        raise Refused(
            "resume.needs-file",
            f"the deploy of {operation.tag} stopped before its containers were created, and creating them needs the "
            f"Compose file",
            next=(f"bg --file FILE deploy {operation.tag}", "bg abort"),
        )
    deployment = Deployment(
        release=release,
        slot=operation.slot,
        operation=operation.id,
        create=only_existing(release),
        stage=operation.stage,
    )
    if release.smoke_of_deploys and observed.live_release != release:
        site.notice(
            f"{release.smoke_of_deploys} smoke checks of {release} are not run now: only the Compose file has them "
            f"(bg --file FILE deploy {release} goes on with it, and runs them)"
        )
    run(site, session, epoch, observed, deployment, plan_deploy(observed, deployment))
    return release


def _same(operation: Operation, tag: str) -> bool:
    return operation.kind == "deploy" and operation.tag == tag


def _decide(
    site: Site,
    observed: Observed,
    project: Project,
    source: imaging.Source,
    ids: Mapping[str, str],
    operation: str,
    request: DeployRequest,
) -> tuple[Deployment, str]:
    """The deployment, and whether there is anything to do: deploy, nothing, or warm (it stands by unchanged)."""
    refuse_while_shared(observed, REUSED)
    config, digests = imaging.digests(project)
    unfinished = observed.history.unfinished
    number = unfinished.release if unfinished and unfinished.release else observed.history.next_number
    number = max([number, *(c.release + 1 for c in observed.containers)]) if not unfinished else number
    release = draft(
        project,
        number,
        source.tag,
        config,
        ids,
        revision=source.revision,
        subject=source.subject,
        dirty=source.dirty,
        by=site.by,
        at=observed.proxy.clock,
    )
    slot = unfinished.slot if unfinished and unfinished.slot else observed.idle
    made = observed.release(number) if unfinished else None
    if made is not None:
        if not made.same_content(release):
            raise Refused(
                "deploy.changed",
                f"the deploy of {source.tag} was interrupted, and its images or configuration have changed since",
                next=("bg abort", f"bg deploy {source.tag}"),
            )
        release = made
    deployment = Deployment(
        release=release,
        slot=slot,
        operation=operation,
        create=_creator(project, release, digests),
        project=project,
        digests=digests,
        shared_images=ids,
        stage=request.stage or bool(unfinished and unfinished.stage),
        reason=request.reason,
    )
    if request.force or unfinished:
        return deployment, "deploy"
    return _unchanged(observed, deployment)


def _unchanged(observed: Observed, deployment: Deployment) -> tuple[Deployment, str]:
    live, standby = observed.live_release, observed.standby
    if live is not None and live.same_content(deployment.release) and observed.live is not None:
        if observed.runs_whole(live, observed.live):
            return dataclasses.replace(deployment, release=live, slot=observed.live), "nothing"
        return deployment, "deploy"
    if standby is not None and standby.same_content(deployment.release) and not deployment.stage:
        return dataclasses.replace(deployment, release=standby), "warm"
    return deployment, "deploy"


def _creator(project: Project, release: Release, digests: Mapping[str, str]) -> Creator:
    return from_project(project, release, digests)


def _operation(site: Site, observed: Observed, deployment: Deployment) -> Operation:
    live, standby = observed.live_release, observed.standby
    unfinished = observed.history.unfinished
    if unfinished is not None and unfinished.id == deployment.operation:
        return dataclasses.replace(unfinished, by=site.by)
    return Operation(
        id=deployment.operation,
        kind=deployment.kind,
        by=site.by,
        tag=deployment.release.tag,
        release=deployment.release.number,
        slot=deployment.slot,
        live=live.number if live else None,
        standby=standby.number if standby else None,
        stage=deployment.stage,
        reason=deployment.reason,
    )


def _released(deployment: Deployment, operation: Operation) -> dict[str, Any]:
    release = deployment.release
    return {
        "event": "released",
        "release": {
            "number": release.number,
            "tag": release.tag,
            "at": release.at,
            "by": release.by,
            "revision": release.revision,
            "subject": release.subject,
            "dirty": release.dirty,
            "standby": operation.standby,
        },
    }


def _announce(site: Site, observed: Observed, deployment: Deployment) -> None:
    site.emit(
        Event(
            "operation",
            "deploy",
            deployment.release.tag,
            data={
                "project": site.name,
                "release": deployment.release.number,
                "revision": deployment.release.revision,
                "subject": deployment.release.subject,
                "dirty": deployment.release.dirty,
                "slot": deployment.slot,
            },
        )
    )
    standby = observed.standby
    if standby is not None and not observed.history.is_bad(standby.number):
        site.notice(f"until the switch, rollback to {standby.tag} is cold (its slot is being reused)")


def _switch_to_standby(
    site: Site, session: ProxySession, epoch: int, observed: Observed, deployment: Deployment, start: float
) -> DeployResult:
    """What stands by warm and unchanged is switched to, and said to be so."""
    deployment = dataclasses.replace(deployment, kind="switch")
    site.notice(f"{deployment.release.tag} stands by unchanged in {deployment.slot}: switching to it")
    operation = dataclasses.replace(_operation(site, observed, deployment), kind="switch")
    begin(session, epoch, operation)
    target = Target(deployment.release, deployment.slot, "warm")
    executor = site.executor(session, epoch)
    try:
        executor.run(plan_rollback(observed, target, deployment, mark=False))
        end(session, epoch, operation.id, "done")
    except Overtaken:
        raise
    except BluegreenError as error:
        raise account(site, session, epoch, operation, deployment.release, error, executor.moved) from error
    return DeployResult(
        "warm-switched", deployment.release, deployment.slot, observed.live_release, seconds(site, start)
    )


def _dry_run(site: Site, project: Project, source: imaging.Source, request: DeployRequest) -> DeployResult:
    """The plan against what is there, without touching anything. Images that are not built yet stand as names."""
    ids = imaging.known_images(site, project, source)
    container = next((c for c in site.engine.containers(site.name) if c.name == f"{site.name}-proxy"), None)
    if container is not None and container.running:
        with site.session() as session:
            observed = site.observe(session)
    else:
        observed = Observed(site.name, tuple(site.engine.containers(site.name)), networks=tuple(site.engine.networks()))
    observed = imaging.with_planned_networks(observed)
    deployment, outcome = _decide(site, observed, project, source, ids, "dry-run", request)
    plan = plan_deploy(observed, deployment) if outcome == "deploy" else Plan()
    if outcome == "warm":
        plan = plan_rollback(observed, Target(deployment.release, deployment.slot, "warm"), deployment, mark=False)
    builds = imaging.missing(site, project, source)
    steps = [{"step": "build", "subject": n, "cause": "not built yet", "phase": "build"} for n in builds]
    return DeployResult(
        "planned" if outcome != "nothing" else "nothing",
        deployment.release,
        deployment.slot,
        observed.live_release,
        plan=(*steps, *describe(plan), *(_canary_steps(observed, deployment, request) if outcome == "deploy" else ())),
        notices=plan.notices,
    )


def _canary_steps(observed: Observed, deployment: Deployment, request: DeployRequest) -> Iterator[dict[str, str]]:
    """What `ramp` does after the stage. How each share ends is a verdict's, so the plan of a promotion isn't known."""
    if not request.canary:
        return
    from bluegreen.app.ramp import HOLD

    release, hold = deployment.release, HOLD if request.hold is None else request.hold
    to = f"to {release.tag} in {deployment.slot}"
    until = f"until a verdict; without one after {hold:g} s: {release.guard.judge.inconclusive}"
    for share in request.canary if observed.live else ():
        yield {"step": "shift", "subject": f"{share} % of visitors {to}", "cause": f"{share} %", "phase": "switch"}
        yield {"step": "hold", "subject": f"{share} %", "cause": until, "phase": "guard"}
    why = "every share has passed" if observed.live else "nothing is live to compare it with"
    yield {"step": "promote", "subject": f"all traffic {to}", "cause": why, "phase": "switch"}

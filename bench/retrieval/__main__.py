"""``python -m bench.retrieval --checkouts DIR --annotations DIR [--set KEY=VALUE] [--against KEY=VALUE]``

Indexes each repository's annotated folder with the configured adapters and asks every annotated question.
``ANNOTATIONS/repos.json`` names the repositories (``name``, ``root``), ``ANNOTATIONS/NAME.json`` holds questions;
``CHECKOUTS/NAME`` is the checkout at the pinned revision. Prints NDCG@10, MRR, Hit@5 and Recall@10; the last row is
the mean over repositories. With ``--against`` (on top of ``--set``) the same run is made twice, and the difference in
NDCG@10 is printed, as of another lexical index: ``--against ports.lexical=zoekt --against adapters.zoekt.url=URL
--against adapters.zoekt.index_dir=DIR``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from codequay.app import App, SearchRequest
from codequay.kernel.settings import Settings, load_settings

from .measure import DEPTH, Scores, Shown, Target, mean, score

HEADER = f"{'':<18}{'questions':>10}{'NDCG@10':>10}{'MRR':>8}{'Hit@5':>8}{'Recall@10':>11}"


def targets_of(question: dict[str, Any], checkout: Path) -> list[Target]:
    """The question's targets that exist in the checkout."""
    found = []
    for item in [*question["relevant"], *question.get("secondary", [])]:
        one = item if isinstance(item, dict) else {"path": item}
        if (checkout / one["path"]).exists():
            found.append(Target(one["path"], one.get("start_line"), one.get("end_line")))
    return found


async def ask(
    settings: Settings, checkout: Path, root: str, questions: list[dict[str, Any]]
) -> dict[str, list[Scores]]:
    """Index ``checkout/root`` and answer; scores by category."""
    place = str(checkout / root) if root else str(checkout)
    found: dict[str, list[Scores]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as data:
        async with App(settings, overrides={"source": "folder"}, data=data).run() as quay:
            await quay.index(place)
            for question in questions:
                targets = targets_of(question, checkout)
                if not targets:
                    continue
                answer = await quay.search(SearchRequest(question["query"], path=place, limit=DEPTH))
                prefix = f"{root}/" if root else ""
                hits = [Shown(prefix + hit.path, hit.start_line, hit.end_line) for hit in answer.hits]
                found[question["category"]].append(score(hits, targets))
    return found


def row(name: str, scores: Scores) -> str:
    return f"{name:<18}{scores.count:>10}{scores.ndcg:>10.3f}{scores.mrr:>8.3f}{scores.hit:>8.3f}{scores.recall:>11.3f}"


def measure(settings: Settings, args: argparse.Namespace) -> Scores:
    """One run over all repositories, printed as it goes; the mean over repositories."""
    described = json.loads((args.annotations / "repos.json").read_text())["repos"]
    by_category: dict[str, list[Scores]] = defaultdict(list)
    by_repo: list[Scores] = []
    print(HEADER)
    for repo in described:
        name, checkout = repo["name"], args.checkouts / repo["name"]
        if args.repo and name not in args.repo:
            continue
        if not checkout.is_dir():
            print(f"{name:<18}  no checkout at {checkout}")
            continue
        questions = json.loads((args.annotations / f"{name}.json").read_text())
        found = asyncio.run(ask(settings, checkout, repo.get("root") or "", questions))
        for category, scores in found.items():
            by_category[category].extend(scores)
        by_repo.append(mean([one for scores in found.values() for one in scores]))
        print(row(name, by_repo[-1]), flush=True)
    print()
    for category in sorted(by_category):
        print(row(category, mean(by_category[category])))
    total = mean(by_repo)
    print(row("all repositories", total), flush=True)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("--checkouts", type=Path, required=True)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--against", action="append", default=[], metavar="KEY=VALUE", help="settings of a second run")
    parser.add_argument("--repo", action="append", default=[], help="only this repository; may be repeated")
    args = parser.parse_args()
    first = measure(load_settings(sets=args.sets), args)
    if args.against:
        print(f"\nagainst {' '.join(args.against)}")
        second = measure(load_settings(sets=[*args.sets, *args.against]), args)
        print(f"\nNDCG@10 {first.ndcg:.3f} against {second.ndcg:.3f}: {second.ndcg - first.ndcg:+.3f}")


if __name__ == "__main__":
    main()

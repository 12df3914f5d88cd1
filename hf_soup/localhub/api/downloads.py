"""Files: the Hub answers for small ones itself and sends clients to the CDN for large ones."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from hf_soup.localhub.content import Content, content_of, large_content, xet_file
from hf_soup.localhub.ranges import requested_span
from hf_soup.localhub.refusals import Refusal, entry_not_found
from hf_soup.localhub.repository import Entry, Repository
from hf_soup.localhub.routing import Call, cdn_routes, hub_routes


@hub_routes.add("GET", "/{prefix}{repo}/resolve/{rev}/{path}")
def resolve(call: Call) -> Response:
    repo, commit, entry = _entry(call)
    headers = {
        "X-Repo-Commit": commit,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(_name(call))}",
        "Vary": "Origin",
    }
    if entry.sha256 is None:
        headers["ETag"] = f'"{entry.oid}"'
        return serve(call, content_of(repo, entry, call.hub.xet), headers, "text/plain; charset=utf-8")
    headers |= {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
    if (file := xet_file(call.hub.xet, entry.sha256)) is not None:
        route = f"{call.hub.endpoint}/api/{repo.type}s/{repo.id}/xet-read-token/{commit}"
        headers |= {"X-Xet-Hash": file.hash, "Link": f'<{route}>; rel="xet-auth"'}
    path = f"/{repo.type}s/{repo.id}/{entry.sha256}"
    headers["Location"] = call.hub.signer.sign(call.hub.cdn, path, filename=_name(call))
    return Response(f"Found. Redirecting to {headers['Location']}", 302, headers, "text/plain; charset=utf-8")


@hub_routes.add("GET", "/{prefix}{repo}/raw/{rev}/{path}")
def raw(call: Call) -> Response:
    """What git keeps: the pointer of a large file."""
    repo, commit, entry = _entry(call)
    data = repo.objects.read(entry.oid, "blob")
    headers = {"X-Repo-Commit": commit, "ETag": f'"{entry.oid}"'}
    return Response(data, 200, headers, "text/plain; charset=utf-8")


@cdn_routes.add("GET", "/{type}/{repo}/{sha256}")
def download(call: Call) -> Response:
    """A large file, for whoever has the signed address: the right to read was checked when it was made."""
    call.hub.signer.check(call.path, call.query)
    sha256 = call.values["sha256"]
    repo = call.hub.repositories.find(call.repo_type, call.values["repo"])
    if repo is None:
        raise Refusal(404, "NoSuchKey")
    headers = {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"}
    if "filename" in call.query:
        headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(call.query['filename'])}"
    try:
        content = large_content(repo, sha256, call.hub.xet)
    except KeyError:
        raise Refusal(404, "NoSuchKey") from None
    return serve(call, content, headers, "application/octet-stream")


def serve(call: Call, content: Content, headers: dict[str, str], media_type: str) -> Response:
    """The content or the range that is asked for, streamed."""
    span = requested_span(call.headers.get("range"), content.size)
    start, stop = span or (0, content.size)
    headers = {**headers, "Content-Length": str(stop - start)}
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    body = content.span(start, stop) if call.method == "GET" and stop > start else iter(())
    return StreamingResponse(body, 206 if span else 200, headers, media_type)


def _entry(call: Call) -> tuple[Repository, str, Entry]:
    repo = call.repo(content=True)
    commit = repo.resolve(call.values["rev"])
    entry = repo.files(commit).get(call.values["path"])
    if entry is None:
        raise entry_not_found(commit.oid)
    return repo, commit.oid, entry


def _name(call: Call) -> str:
    return call.values["path"].rsplit("/", 1)[-1]

"""Reports and reads by Python's requests: reports.py BASE_URL TOKEN COURIER_TOKEN

TOKEN may do everything. COURIER_TOKEN may report and read the clients whose IDs begin with "courier-". The script ends
with 0 if the server has answered as documented.
"""

import sys
from datetime import datetime, timezone

import requests

base_url, token, courier_token = sys.argv[1:]


def session_of(token):
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    return session


herd = session_of(token)


def answer(response, status=200):
    """The JSON of an answer that must have this status."""
    assert response.status_code == status, (response.request.url, response.status_code, response.text)
    assert response.text.endswith("\n"), response.text
    return response.json()


def problem(response, status):
    """The detail of an answer that must be a problem."""
    told = answer(response, status)
    assert response.headers["Content-Type"] == "application/problem+json", response.headers
    assert told["status"] == status and told["title"], told
    assert response.headers["X-Request-Id"], response.headers
    return told.get("detail", "")


def put(session, client, **report):
    return session.put(f"{base_url}/v1/clients/{client}/location", json=report)


def search(session=herd, **parameters):
    return answer(session.get(f"{base_url}/v1/clients", params=parameters))


def ids(page):
    return [client["id"] for client in page["clients"]]


def one_client():
    now = datetime.now(timezone.utc)
    reported = answer(put(herd, "walker", lat=48.137, lon=11.575, time=now.isoformat(), heading_deg=90))
    assert reported["result"] == "accepted", reported
    assert datetime.fromisoformat(reported["time"].replace("Z", "+00:00")) == now, reported
    assert abs(reported["difference_s"]) < 30, reported
    assert reported["attributes"] == {"heading_deg": 90}, reported
    read = answer(herd.get(f"{base_url}/v1/clients/walker"))
    assert read == {key: value for key, value in reported.items() if key != "result"}, (read, reported)
    # The server's clock stamps a report without a time. POSIX seconds may come as a number or as a string.
    assert answer(put(herd, "walker", lat=48.138, lon=11.575))["result"] == "accepted"
    for seconds in (1621464827.5, "1621464827.500"):
        assert answer(put(herd, "clock", lat=1, lon=1, time=seconds))["time"].startswith("2021-05-19T22:53:47.5")
    places = answer(herd.get(f"{base_url}/v1/clients/walker/places", params={"radius_m": 20000, "limit": 3}))
    assert places["status"] == "OK" and len(places["results"]) == 3, places
    gone = herd.delete(f"{base_url}/v1/clients/walker")
    assert gone.status_code == 204 and not gone.content, gone.text
    problem(herd.get(f"{base_url}/v1/clients/walker"), 404)
    assert answer(put(herd, "walker", lat=48.139, lon=11.575))["result"] == "accepted", "a newer report revives it"


def a_batch_and_its_pages():
    reports = [
        {"id": f"courier-{number:03}", "lat": round(40 + number / 1000, 3), "lon": -74, "battery_pct": number % 100,
         "note": "even" if number % 2 == 0 else "odd"}
        for number in range(250)
    ]
    bad = [{"id": "courier-x", "lat": 0}, {"lat": 1, "lon": 1}, {"id": "courier y", "lat": 1, "lon": 1}, 7]
    told = answer(herd.post(f"{base_url}/v1/reports", json=reports[:100] + bad + reports[100:]))
    assert (told["accepted"], told["stale"], told["refused"]) == (250, 0, 4), told
    assert [error["index"] for error in told["errors"]] == [100, 101, 102, 103], told
    assert all(error["detail"] for error in told["errors"]), told

    found, pages, after = [], 0, None
    while pages == 0 or after is not None:
        page = search(ids="courier-*", limit=100, **({} if after is None else {"after": after}))
        found += ids(page)
        pages, after = pages + 1, page.get("next")
        assert pages <= 4, "the pages end"
    assert sorted(found) == [report["id"] for report in reports], "each once"

    packed = herd.get(f"{base_url}/v1/clients", params={"ids": "courier-*", "limit": 250})
    assert packed.headers.get("Content-Encoding") in ("gzip", "br", "zstd", "deflate"), packed.headers
    assert len(answer(packed)["clients"]) == 250


def searches():
    near = search(near="40.1,-74", radius_m=250)
    assert ids(near) == ["courier-100", *sorted(ids(near)[1:3], reverse=ids(near)[1] > ids(near)[2]),
                         *ids(near)[3:]], near
    assert set(ids(near)) == {f"courier-{number:03}" for number in range(98, 103)}, near
    distances = [client["distance_m"] for client in near["clients"]]
    assert distances == sorted(distances) and distances[0] < 0.01 and 221 < distances[4] < 224, distances
    assert ids(search(near="40.1,-74", limit=1)) == ["courier-100"]
    assert sorted(ids(search(box="40.0095,-75,40.0125,-73"))) == [f"courier-{number:03}" for number in (10, 11, 12)]
    assert ids(search(box="40.0095,-73,40.0125,-75", ids="courier-*")) == [], "the other way round the Earth"
    few = 'battery_pct >= 10 and battery_pct <= 12 and note = "even"'
    assert sorted(ids(search(ids="courier-*", where=few))) == [
        f"courier-{number:03}" for number in (10, 12, 110, 112, 210, 212)
    ]
    assert ids(search(ids="courier-*", where="battery_pct = \"10\"")) == [], "a number is no text"
    assert ids(search(ids=["courier-007", "walker", "nobody"])) in (["courier-007", "walker"], ["walker", "courier-007"])
    assert search(ids="nobody") == {"clients": []}


def rights():
    courier = session_of(courier_token)
    assert answer(put(courier, "courier-007", lat=41, lon=-74))["result"] == "accepted"
    assert len(search(courier, limit=1000)["clients"]) == 250, "only what it may read"
    problem(put(courier, "walker", lat=0, lon=0), 403)
    problem(courier.get(f"{base_url}/v1/clients/walker"), 403)
    problem(courier.get(f"{base_url}/v1/clients", params={"ids": "walker"}), 403)
    problem(courier.get(f"{base_url}/v1/status"), 403)
    told = answer(courier.post(f"{base_url}/v1/reports", json=[{"id": "walker", "lat": 0, "lon": 0}]))
    assert (told["accepted"], told["refused"]) == (0, 1), told
    problem(requests.get(f"{base_url}/v1/clients/walker"), 401)
    problem(session_of("phd_nobody_" + "0" * 43).get(f"{base_url}/v1/clients/walker"), 401)
    assert answer(requests.get(f"{base_url}/v1/clients/courier-007", auth=("any", courier_token)))["lat"] == 41


def what_is_wrong():
    assert "lat" in problem(put(herd, "walker", lat=90.5, lon=0), 422)
    problem(put(herd, "walker", lat=1, lon=1, note="x" * 600), 422)
    json = {"Content-Type": "application/json"}
    problem(herd.put(f"{base_url}/v1/clients/walker/location", data="{", headers=json), 400)
    problem(herd.put(f"{base_url}/v1/clients/walker/location", data="lat=1", headers={"Content-Type": "text/csv"}), 415)
    problem(herd.get(f"{base_url}/v1/clients", params={"where": "speed ~ 1"}), 422)
    problem(herd.get(f"{base_url}/v1/clients", params={"near": "1,1", "after": "x"}), 409)
    problem(herd.get(f"{base_url}/v1/nothing"), 404)


for part in (one_client, a_batch_and_its_pages, searches, rights, what_is_wrong):
    part()
    print(part.__name__)

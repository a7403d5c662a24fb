"""Asks a server by Google's own client: nearby.py BASE_URL QUESTIONS, prints an answer each.

QUESTIONS is a JSON list of keyword arguments for Client.places_nearby. Where the client raises an error of the
server's, its status and message are printed in place of an answer.
"""

import json
import sys

import googlemaps

base_url, questions = sys.argv[1:]
client = googlemaps.Client(key="AIzaNotAKeyOfAnybody", base_url=base_url)


def answer(question):
    try:
        return client.places_nearby(**question)
    except googlemaps.exceptions.ApiError as error:
        return {"raised": type(error).__name__, "status": error.status, "error_message": error.message}


print(json.dumps([answer(question) for question in json.loads(questions)]))

// Asks a server by Google's own client: nearby.mjs MODULES BASE_URL QUESTIONS, prints an answer each.
//
// MODULES is the folder that holds node_modules, QUESTIONS a JSON list of params for Client.placesNearby. Where the
// client raises an error of the server's, its status and message are printed in place of an answer.

import { createRequire } from "node:module";

const [modules, baseUrl, questions] = process.argv.slice(2);
const { Client } = createRequire(`${modules}/`)("@googlemaps/google-maps-services-js");
const client = new Client();
const url = `${baseUrl}/maps/api/place/nearbysearch/json`;

async function answer(question) {
  const params = { key: "AIzaNotAKeyOfAnybody", ...question };
  try {
    return (await client.placesNearby({ params, url })).data;
  } catch (error) {
    if (!error.response) throw error;
    const { status, error_message } = error.response.data;
    return { raised: error.name, status, error_message };
  }
}

const answers = [];
for (const question of JSON.parse(questions)) answers.push(await answer(question));
console.log(JSON.stringify(answers));

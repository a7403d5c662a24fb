// A form that sends a report by hand, to any server of the herd. While it is open, a click on the map chooses the
// position.

import { Problem, textOf } from '../api/problem';
import type { ReportsAnswer } from '../api/wire';
import type { App } from '../app';
import { el } from '../base/dom';

/** Maximum number of characters of an ID. A server takes at most 256 bytes. */
const ID_LEN_MAX = 256;

export class ReportPanel {
  readonly element: HTMLFormElement;
  private readonly id = el('input', {
    type: 'text',
    required: true,
    maxlength: String(ID_LEN_MAX),
    spellcheck: 'false',
  });
  private readonly lat = numberInput('90');
  private readonly lon = numberInput('180');
  private readonly note = el('input', { type: 'text', maxlength: '200' });
  private readonly server = el('select');
  private readonly result = el('p', { class: 'quiet-text', role: 'status' });
  private pin: { remove(): void } | null = null;

  constructor(private readonly app: App) {
    this.id.value = 'me';
    this.id.setAttribute('autocapitalize', 'none');
    this.fillServers();
    this.element = el(
      'form',
      { class: 'form', autocomplete: 'off', onsubmit: (event) => void this.send(event) },
      el('p', { class: 'lead' }, 'Click the map to choose the position.'),
      labeled('Client ID', this.id),
      el('div', { class: 'pair' }, labeled('Latitude', this.lat), labeled('Longitude', this.lon)),
      labeled('Note', this.note, 'optional'),
      labeled('Server', this.server),
      el('button', { type: 'submit', class: 'main' }, 'Send the report'),
      this.result,
    );
  }

  /** Takes a position from the map. */
  setPosition(lat: number, lon: number): void {
    this.lat.value = lat.toFixed(6);
    this.lon.value = lon.toFixed(6);
    this.pin?.remove();
    this.pin = this.app.view.pin(lat, lon);
  }

  close(): void {
    this.pin?.remove();
  }

  private fillServers(): void {
    const { session } = this.app;
    const own = session.server;
    this.server.append(el('option', { value: own.base }, `${own.name} (this page's server)`));
    for (const { name, http } of session.servers) {
      const base = http[0];
      if (name !== own.name && base !== undefined) this.server.append(el('option', { value: base }, name));
    }
  }

  private async send(event: Event): Promise<void> {
    event.preventDefault();
    const note = this.note.value.trim();
    const report = {
      id: this.id.value.trim(),
      lat: Number(this.lat.value),
      lon: Number(this.lon.value),
      ...(note === '' ? {} : { attributes: { note } }),
    };
    const name = this.server.selectedOptions[0]?.textContent ?? '';
    this.say('Sending…', false);
    try {
      const headers = { 'Content-Type': 'application/json' };
      const init = { method: 'POST', headers, body: JSON.stringify([report]) };
      const response = await this.app.session.requestAt(this.server.value, 'v1/reports', init);
      if (!response.ok) throw await Problem.of(response);
      const answer = (await response.json()) as ReportsAnswer;
      const refusal = answer.errors[0]?.detail;
      if (refusal !== undefined) this.say(textOf(refusal), true);
      else if (answer.stale > 0)
        this.say('The herd knows a later report of this client, so this one changes nothing.', true);
      else this.say(`${name.replace(/ \(.*/, '')} has taken the report of ${report.id}.`, false);
    } catch (error) {
      const isForbidden = error instanceof Problem && error.isForbidden;
      const isAway = error instanceof TypeError || (error instanceof DOMException && error.name === 'TimeoutError');
      if (isForbidden) this.say('The token does not allow to report this client.', true);
      else if (isAway) this.say(`${name.replace(/ \(.*/, '')} does not answer. Choose another server.`, true);
      else this.say(textOf(error), true);
    }
  }

  private say(text: string, isProblem: boolean): void {
    this.result.textContent = text;
    this.result.className = isProblem ? 'problem' : 'quiet-text';
  }
}

function numberInput(max: string): HTMLInputElement {
  return el('input', { type: 'number', required: true, step: 'any', min: `-${max}`, max, inputmode: 'decimal' });
}

function labeled(text: string, control: HTMLElement, more = ''): HTMLElement {
  return el('label', { class: 'field' }, el('span', {}, text, more ? el('i', {}, ` ${more}`) : null), control);
}

// The dialog that asks for a token. The token goes from the field into the session, and the field is emptied at once.
// Nothing keeps it: whoever loads the page again enters it again.

import { Problem, textOf } from '../api/problem';
import type { Session } from '../api/session';
import { byId, el } from '../base/dom';

export class TokenDialog {
  private readonly dialog = byId<HTMLDialogElement>('token');
  private readonly field = el('input', {
    type: 'password',
    required: true,
    autocomplete: 'off',
    spellcheck: 'false',
    maxlength: '512',
    placeholder: 'phd_…',
  });
  private readonly why = el('p', { class: 'problem', role: 'alert' });
  private readonly forget = el('button', { type: 'button', onclick: () => this.forgetToken() }, 'Forget the token');
  private readonly submit = el('button', { type: 'submit', class: 'main' }, 'Use the token');

  constructor(private readonly session: Session) {
    const cancel = el('button', { type: 'button', onclick: () => this.dialog.close() }, 'Cancel');
    this.dialog.append(
      el('h2', { id: 'token-title' }, 'Enter a token'),
      el('p', {}, 'This herd shows its clients to holders of a token only. An operator makes one with'),
      el('p', {}, el('code', {}, 'proxyherd token create')),
      el(
        'p',
        { class: 'quiet-text' },
        'The token stays in the memory of this page. Loading the page again forgets it.',
      ),
      el(
        'form',
        { class: 'form', autocomplete: 'off', onsubmit: (event) => void this.use(event) },
        el('label', { class: 'field' }, el('span', {}, 'Token'), this.field),
        this.why,
        el('div', { class: 'actions' }, this.submit, cancel, this.forget),
      ),
    );
  }

  /** Opens the dialog. `why` says why a token is needed again. */
  open(why = ''): void {
    this.why.textContent = why;
    this.forget.hidden = !this.session.isOpen;
    if (!this.dialog.open) this.dialog.showModal();
    this.field.focus();
  }

  private async use(event: Event): Promise<void> {
    event.preventDefault();
    const token = this.field.value.trim();
    this.field.value = '';
    if (token === '') return;
    this.submit.disabled = true;
    this.why.textContent = '';
    try {
      const { read, report, places, operate } = await this.session.useToken(token);
      if (read || report || places || operate) this.dialog.close();
      else this.why.textContent = 'The token is valid, but allows nothing that this page shows.';
    } catch (error) {
      const isWrong = error instanceof Problem && error.needsToken;
      this.why.textContent = isWrong
        ? 'The herd does not know this token, or the token is past its end.'
        : textOf(error);
      this.field.focus();
    }
    this.submit.disabled = false;
  }

  private forgetToken(): void {
    this.session.forgetToken();
    this.open();
  }
}

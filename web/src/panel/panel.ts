// The panel beside the map, or below it on a phone. It shows one thing at a time: a client, places, a list, a form.
// Whatever is shown gets told when it is closed. Esc closes the panel, and the focus returns to where it was.

import { byId, setText } from '../base/dom';

/** Something that the panel shows. */
export interface Content {
  readonly title: string;
  readonly element: HTMLElement;
  /** Called once, when the panel shows something else or nothing. */
  readonly onClose?: () => void;
  /** Whether the focus goes into the panel. A click on the map leaves it where it is. */
  readonly takesFocus?: boolean;
}

export class Panel {
  /** Called when the panel opens or closes. */
  onChange: (() => void) | null = null;
  private readonly element = byId('panel');
  private readonly title = byId('panel-title');
  private readonly body = byId('panel-body');
  private content: Content | null = null;
  private focusBefore: Element | null = null;

  constructor() {
    byId('panel-close').addEventListener('click', () => this.close());
    this.element.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      this.close();
    });
  }

  get isOpen(): boolean {
    return this.content !== null;
  }

  /** Whether this is what the panel shows. */
  shows(element: HTMLElement): boolean {
    return this.content?.element === element;
  }

  show(content: Content): void {
    const before = this.content;
    if (!before) this.focusBefore = document.activeElement;
    this.content = content;
    before?.onClose?.();
    setText(this.title, content.title);
    this.body.replaceChildren(content.element);
    this.body.scrollTop = 0;
    this.element.hidden = false;
    document.body.classList.add('has-panel');
    if (content.takesFocus) this.element.focus({ preventScroll: true });
    this.onChange?.();
  }

  close(): void {
    const { content } = this;
    if (!content) return;
    const hadFocus = this.element.contains(document.activeElement);
    this.content = null;
    this.element.hidden = true;
    document.body.classList.remove('has-panel');
    this.body.replaceChildren();
    content.onClose?.();
    if (hadFocus && this.focusBefore instanceof HTMLElement && this.focusBefore.isConnected) this.focusBefore.focus();
    this.onChange?.();
  }
}

// A signal tells its listeners that something has happened. The module that owns the thing emits; others listen.
//
// Listeners are called in the order in which they began to listen. A listener that throws does not keep the others from
// being called; its error is reported like one of an event listener of the page.

/** Something that can be listened to. */
export class Signal<T> {
  private readonly listeners = new Set<(value: T) => void>();

  /** Calls `listener` for each value. Returns a function that ends this. */
  listen(listener: (value: T) => void): () => void {
    // Each call listens for itself, even if the same function listens twice.
    const own = (value: T) => listener(value);
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  }

  /** Whether anybody listens. */
  get isHeard(): boolean {
    return this.listeners.size > 0;
  }

  /** Tells all listeners. */
  emit(value: T): void {
    for (const listener of [...this.listeners]) {
      try {
        listener(value);
      } catch (error) {
        reportError(error);
      }
    }
  }
}

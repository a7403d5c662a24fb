// The map itself: MapLibre with the page's layers, always north above and seen from straight above. It shows land and
// labels; clients are drawn on a canvas above it (`points`), because they move in every frame and the map does not.

import 'maplibre-gl/dist/maplibre-gl.css';
import type { FeatureCollection } from 'geojson';
import {
  AttributionControl,
  type GeoJSONSource,
  Map as MapLibre,
  Marker,
  NavigationControl,
  type PaddingOptions,
  ScaleControl,
  setWorkerUrl,
} from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import type { Tiles } from '../api/wire';
import type { Box } from '../base/box';
import { latOf, lonOf, xOf, yOf } from '../base/mercator';
import { Signal } from '../base/signal';
import type { View } from '../clients/clusters';
import { type MapColors, wantsLittleMotion } from '../theme';
import { gridLines } from './grid';
import { type PageSource, styleOf } from './style';
import { loadOutlines } from './world';

/** Around Los Angeles, where the clients of the demo are. */
const START = { lat: 34.04, lon: -118.36, zoom: 9.6 };
const ZOOM_MAX = 20;

// The worker has a file of its own, because the page's content security policy allows no script from a text.
setWorkerUrl(new URL(workerUrl, import.meta.url).href);

/** A point on the map, and where it is on the screen. */
export interface Press {
  readonly lat: number;
  readonly lon: number;
  /** Pixels from the left and the upper edge of the map. */
  readonly px: number;
  readonly py: number;
}

export class MapView {
  /** The map has another view. Emitted in the frame in which the map draws it. */
  readonly drawn = new Signal<void>();
  /** The map has come to rest. */
  readonly rested = new Signal<void>();
  readonly pressed = new Signal<Press>();
  readonly hovered = new Signal<Press | null>();
  readonly map: MapLibre;
  private readonly data = new Map<PageSource, FeatureCollection>();
  private isReady = false;
  private credits = '';

  constructor(
    container: HTMLElement,
    colors: MapColors,
    private readonly tiles: Tiles | null,
    /** Whether the page's URL shows the view, so that the page shows the same view when it is loaded again. */
    hasUrl = false,
  ) {
    this.map = new MapLibre({
      container,
      hash: hasUrl ? 'map' : false,
      style: styleOf(colors, tiles),
      center: [START.lon, START.lat],
      zoom: START.zoom,
      minZoom: 0.5,
      maxZoom: ZOOM_MAX,
      maxPitch: 0,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      rollEnabled: false,
      attributionControl: false,
      fadeDuration: 0,
      refreshExpiredTiles: false,
      validateStyle: false,
      trackResize: true,
      locale: { 'Map.Title': 'Map. Arrow keys move it, plus and minus change its scale, Enter chooses its middle.' },
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    const attribution = new AttributionControl({ compact: true });
    this.map.addControl(attribution, 'bottom-right');
    // A closed attribution is one press away, and leaves the map to the clients.
    this.map.once('load', () => attribution._container.classList.remove('maplibregl-compact-show'));
    this.map.addControl(new NavigationControl({ showCompass: false }), 'bottom-right');
    this.map.addControl(new ScaleControl({ maxWidth: 110 }), 'bottom-left');
    this.listen();
    void this.showOutlines();
  }

  /** What the screen shows. */
  get view(): View {
    const center = this.map.getCenter();
    const { clientWidth, clientHeight } = this.map.getContainer();
    return {
      zoom: this.map.getZoom(),
      x: xOf(center.lng),
      y: yOf(center.lat),
      width: clientWidth,
      height: clientHeight,
    };
  }

  get isMoving(): boolean {
    return this.map.isMoving();
  }

  /** The box of the view. */
  get box(): Box {
    const { x, y, zoom, width, height } = this.view;
    const world = 512 * 2 ** zoom;
    const north = latOf(Math.max(y - height / 2 / world, 0));
    const south = latOf(Math.min(y + height / 2 / world, 1));
    if (width >= world) return [south, -180, north, 180];
    return [south, lonOf(x - width / 2 / world), north, lonOf(x + width / 2 / world)];
  }

  /** Draws in other colors. */
  recolor(colors: MapColors): void {
    this.isReady = false;
    this.map.setStyle(styleOf(colors, this.tiles), { diff: true });
    this.map.once('styledata', () => this.ready());
  }

  /** Sets the data of a source. */
  set(source: PageSource, data: FeatureCollection): void {
    this.data.set(source, data);
    if (this.isReady) this.map.getSource<GeoJSONSource>(source)?.setData(data);
  }

  /** Sets whom the map credits for its labels, as safe HTML. */
  credit(credits: readonly string[]): void {
    this.credits = credits.join(' | ');
    const source = this.isReady ? this.map.getSource<GeoJSONSource>('places') : undefined;
    if (source) source.attribution = this.credits;
  }

  /** Flies to a point. `zoomMin`: the map comes at least this near. */
  flyTo(lat: number, lon: number, zoomMin = 0, offset: readonly [number, number] = [0, 0]): void {
    const zoom = Math.max(this.map.getZoom(), zoomMin);
    const options = {
      center: [lon, lat] as [number, number],
      zoom,
      offset: [offset[0], offset[1]] as [number, number],
    };
    if (wantsLittleMotion()) this.map.jumpTo({ center: options.center, zoom });
    else this.map.flyTo({ ...options, maxDuration: 1800 });
  }

  /** Shows a box as a whole. */
  fit(box: Box, padding: PaddingOptions): void {
    const [south, west, north, east] = box;
    const eastern = east < west ? east + 360 : east;
    const bounds: [number, number, number, number] = [west, south, eastern, north];
    this.map.fitBounds(bounds, { padding, maxZoom: 14, duration: wantsLittleMotion() ? 0 : 900 });
  }

  /** The point that is so many pixels to the right of the middle of the screen, and below it. */
  pointAt(right: number, down: number): { lat: number; lon: number } {
    const { x, y, zoom } = this.view;
    const world = 512 * 2 ** zoom;
    return { lat: latOf(y + down / world), lon: lonOf(x + right / world) };
  }

  /** Marks a point, until the mark is removed. */
  pin(lat: number, lon: number): { remove(): void } {
    const element = document.createElement('div');
    element.className = 'pin';
    return new Marker({ element, anchor: 'bottom' }).setLngLat([lon, lat]).addTo(this.map);
  }

  zoomBy(steps: number): void {
    this.map.zoomTo(this.map.getZoom() + steps, { duration: wantsLittleMotion() ? 0 : 250 });
  }

  private listen(): void {
    this.map.on('style.load', () => this.ready());
    this.map.on('render', () => this.drawn.emit());
    this.map.on('moveend', () => {
      this.showGrid();
      this.rested.emit();
    });
    const press = (event: { lngLat: { lat: number; lng: number }; point: { x: number; y: number } }): Press => {
      const { lngLat, point } = event;
      return { lat: lngLat.lat, lon: lonOf(xOf(lngLat.lng)), px: point.x, py: point.y };
    };
    this.map.on('click', (event) => this.pressed.emit(press(event)));
    this.map.getCanvas().addEventListener('keydown', ({ key }) => {
      if (key === 'Enter') this.pressMiddle();
    });
    this.map.on('mousemove', (event) => this.hovered.emit(press(event)));
    this.map.on('mouseout', () => this.hovered.emit(null));
  }

  private pressMiddle(): void {
    const { width, height } = this.view;
    this.pressed.emit({ ...this.pointAt(0, 0), px: width / 2, py: height / 2 });
  }

  private ready(): void {
    this.isReady = true;
    this.credit([this.credits]);
    for (const [source, data] of this.data) this.map.getSource<GeoJSONSource>(source)?.setData(data);
    if (!this.data.has('grid')) this.showGrid();
  }

  private showGrid(): void {
    const bounds = this.map.getBounds();
    const [west, east] = [bounds.getWest(), bounds.getEast()];
    const margin = (east - west) / 2;
    const box = [bounds.getSouth(), west - margin, bounds.getNorth(), east + margin] as const;
    this.set('grid', gridLines(this.map.getZoom(), box));
  }

  private async showOutlines(): Promise<void> {
    try {
      const { land, borders } = await loadOutlines();
      this.set('land', land);
      this.set('borders', borders);
    } catch (error) {
      reportError(error);
    }
  }
}

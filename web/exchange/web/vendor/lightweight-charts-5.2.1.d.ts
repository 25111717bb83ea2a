export {
  createChart, createSeriesMarkers, CandlestickSeries, HistogramSeries, CrosshairMode, LineStyle,
} from "lightweight-charts";
export type * from "lightweight-charts";

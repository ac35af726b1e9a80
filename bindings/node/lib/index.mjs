import sondage from './index.cjs';

export const {
  currentLabels, flush, isRunning, setLabels, start, stats, stop, withLabels,
} = sondage;
export default { currentLabels, flush, isRunning, setLabels, start, stats, stop, withLabels };

import * as sondage from './index.js';

export * from './index.js';
export default sondage;

// A worker: timers of pages in the background are slowed down to one a minute, those of workers are not.
"use strict";
setInterval(() => postMessage(0), 500);

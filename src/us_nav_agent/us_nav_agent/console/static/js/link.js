// The connection: turns come in, each is answered; lost, it is sought again. Time by the page's own steady clock.
const RETRY = 500; // ms
const SILENCE = 1000; // ms without a turn: lost; the server sends ten a second
const text = new TextDecoder();

export class Link {
  // onTurn(turn, first): what is to be seen, the first of a connection; onPicture(data, frame): a JPEG and what is known of it, drawn when it resolves.
  constructor(onTurn, onPicture) {
    this.onTurn = onTurn;
    this.onPicture = onPicture;
    this.turn = null; // the newest
    this.came = -Infinity;
    this.open();
  }

  open() {
    const socket = new WebSocket(`ws://${location.host}/stream`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.opened = performance.now();
    let turns = 0;
    let drawn = Promise.resolve(); // one after the other: a turn is answered when its frame has been drawn
    socket.onmessage = ({ data }) => {
      if (this.socket !== socket) return;
      const end = 4 + new DataView(data).getUint32(0, true);
      this.turn = JSON.parse(text.decode(new Uint8Array(data, 4, end - 4)));
      this.came = performance.now();
      turns += 1;
      const answer = JSON.stringify({ turns });
      this.onTurn(this.turn, turns === 1);
      if (end < data.byteLength) {
        const { frame } = this.turn;
        drawn = drawn.then(() => this.onPicture(new Uint8Array(data, end), frame)).catch(() => {});
      }
      drawn = drawn.then(() => socket.readyState === WebSocket.OPEN && socket.send(answer));
    };
    socket.onclose = () => {
      if (this.socket === socket) setTimeout(() => this.open(), RETRY);
    };
  }

  say(words) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(words));
  }

  get lost() {
    return this.socket.readyState !== WebSocket.OPEN || performance.now() - this.came > SILENCE;
  }

  // A connection that is open but silent (a server that hangs, a cable pulled) is given up and made anew.
  renew() {
    if (performance.now() - Math.max(this.came, this.opened) < 3 * SILENCE) return;
    const old = this.socket;
    old.onclose = null;
    this.open();
    old.close();
  }

  // Age [s] of something whose age was `age` when the newest turn was sent.
  ageNow(age) {
    return age + (performance.now() - this.came) / 1000;
  }
}

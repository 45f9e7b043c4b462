package console

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// contentParams select the content of one message.
type contentParams struct {
	ID       string `param:"id" doc:"The ID of the message."`
	Envelope bool   `param:"envelope" doc:"With the envelope, for replay. The message must be suspended, poison or bad mail."`
}

// writeContent writes the content of a message as a file.
func writeContent(x *call, p contentParams) error {
	if queue.ValidID(p.ID) != nil {
		return queue.ErrNotFound
	}
	if p.Envelope {
		w := &fileWriter{x: x, name: p.ID}
		return x.console.Gateway.Queue.Export(x.ctx(), p.ID, w)
	}
	m, err := x.console.Gateway.Queue.Store.Get(x.ctx(), p.ID)
	if err != nil {
		return err
	}
	w := &fileWriter{x: x, name: p.ID, size: m.Content.Size()}
	_, err = m.Content.WriteTo(w)
	return err
}

// A fileWriter writes an answer that a browser saves. It writes the header of the
// answer before the first byte, so an error before that is still an error for
// the client.
type fileWriter struct {
	x     *call
	name  string
	size  int64 // 0: not known
	begun bool
	end   time.Time // of the export
}

// A client must read exportPiece bytes in exportWrite, and the rest in streamTime.
// The time of other answers would be too short for a large message.
const (
	exportPiece = 64 << 10
	exportWrite = 30 * time.Second
)

func (f *fileWriter) Write(p []byte) (n int, err error) {
	if !f.begun {
		f.begun, f.end = true, time.Now().Add(streamTime)
		h := f.x.w.Header()
		// Not message/rfc822: some browsers show it, and the content is of a
		// stranger.
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="`+f.name+`.eml"`) // an ID has only letters, digits, '-', '_', '.'
		if f.size > 0 {
			h.Set("Content-Length", strconv.FormatInt(f.size, 10))
		}
		f.x.w.WriteHeader(http.StatusOK)
	}
	if f.x.r.Method == http.MethodHead {
		return len(p), nil
	}
	control := http.NewResponseController(f.x.w)
	for n < len(p) && err == nil {
		limit := time.Now().Add(exportWrite)
		if limit.After(f.end) {
			limit = f.end
		}
		control.SetWriteDeadline(limit) // not all writers have deadlines
		var wrote int
		wrote, err = f.x.w.Write(p[n:min(n+exportPiece, len(p))])
		n += wrote
	}
	return n, err
}

var _ io.Writer = (*fileWriter)(nil)

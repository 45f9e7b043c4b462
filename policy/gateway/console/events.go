package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// A stream writes server-sent events (HTML, 9.2). Each write has a deadline, so a
// client that does not read ends the stream.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// streamWrite is the time that a client has to read an event.
const streamWrite = 10 * time.Second

// newStream begins a stream. The caller closes it.
func newStream(x *call) *stream {
	s := &stream{x.w, http.NewResponseController(x.w)}
	s.control.SetReadDeadline(time.Time{}) // that of the server would end the stream
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.w.Header().Set("X-Accel-Buffering", "no") // nginx would wait for more
	x.w.WriteHeader(http.StatusOK)
	return s
}

// close ends the deadline: the connection may be used for another request.
func (s *stream) close() { s.control.SetWriteDeadline(time.Time{}) }

// send sends one event.
func (s *stream) send(event string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("event: %s\ndata: %s\n\n", event, data))
}

func (s *stream) write(text string) error {
	s.control.SetWriteDeadline(time.Now().Add(streamWrite)) // not all writers have deadlines
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// streamTotals sends the totals every two seconds.
func streamTotals(x *call, _ struct{}) error {
	s := newStream(x)
	defer s.close()
	tick := time.NewTicker(sampleAge)
	defer tick.Stop()
	end := time.NewTimer(streamTime)
	defer end.Stop()
	for {
		now, err := x.console.live.get(x.ctx(), x.console.Gateway.Queue)
		if err != nil {
			return nil // the client connects again
		}
		if err := s.send("totals", now); err != nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-end.C:
			return nil
		case <-x.ctx().Done():
			return nil
		}
	}
}

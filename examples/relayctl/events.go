package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
)

// maxEvent is the maximum size of an event in bytes.
const maxEvent = 1 << 20

// A streamError is the end of a stream that had begun.
type streamError struct{ err error }

func (e *streamError) Error() string { return "the stream has ended: " + e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }

// stream calls handle for each event of a stream, until it ends. An error of the
// connection is a *streamError.
func (c *client) stream(ctx context.Context, path string, query url.Values, handle func(name string, data document) error) error {
	r, err := c.open(ctx, path, query, "text/event-stream, application/problem+json")
	if err != nil {
		return err
	}
	defer r.Close()
	return readEvents(r, handle)
}

// readEvents calls handle for each event (server-sent events: HTML, 9.2.6). The
// fields id and retry are ignored. An event at the end that is not complete is
// dropped.
func readEvents(r io.Reader, handle func(name string, data document) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	name, data := "", []byte(nil)
	for lines.Scan() {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if len(line) == 0 { // the end of the event
			if data != nil {
				if err := handle(name, bytes.TrimSuffix(data, []byte("\n"))); err != nil {
					return err
				}
			}
			name, data = "", nil
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":")) // a comment has no field
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			if data = append(append(data, value...), '\n'); len(data) > maxEvent {
				return errLongEvent
			}
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return errLongEvent
	case err != nil:
		return &streamError{err}
	}
	return nil
}

var errLongEvent = fmt.Errorf("the console sends an event of more than %d bytes", maxEvent)

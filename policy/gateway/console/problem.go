package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A problem is an error that a client sees (RFC 9457).
type problem struct {
	Type   string `json:"type"` // always "about:blank": Status says what it is
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Parameter is the name of the parameter that is wrong.
	Parameter string `json:"parameter,omitempty"`

	retry time.Duration // of the field Retry-After
	allow string        // of the field Allow
}

func (p *problem) Error() string { return cmp.Or(p.Detail, http.StatusText(p.Status)) }

// refuse returns a problem.
func refuse(status int, detail string) *problem { return &problem{Status: status, Detail: detail} }

// wrongParameter returns the problem of a parameter.
func wrongParameter(name, detail string) *problem {
	return &problem{Status: http.StatusBadRequest, Parameter: name, Detail: name + ": " + detail}
}

// skippedText says which messages were skipped, and what the operator can do.
func skippedText(e *queue.SkippedError) string {
	text := strings.TrimPrefix(e.Error(), "queue: ")
	return strings.ToUpper(text[:1]) + text[1:] + ". Do it on these nodes, or later."
}

// errInternal is an error that only operators see.
const errInternal = "The relay could not do this. Its log has the details."

// problemOf returns what a client sees of an error.
func (x *call) problemOf(err error) *problem {
	var p *problem
	var tooLarge *http.MaxBytesError
	var skipped *queue.SkippedError
	switch {
	case errors.As(err, &p):
	case errors.Is(err, queue.ErrNotFound):
		p = refuse(http.StatusNotFound, "The message is not in the queue. It may have been delivered or removed.")
	case errors.Is(err, queue.ErrNotSuspended):
		p = refuse(http.StatusConflict, "The message is not suspended. Suspend it first; otherwise it could be delivered twice: by the relay and from the copy.")
	case errors.Is(err, queue.ErrNoSuspension):
		p = refuse(http.StatusNotFound, "There is no such suspension. It may have ended or been lifted.")
	case errors.Is(err, queue.ErrNoNode):
		p = refuse(http.StatusNotFound, "There is no such node.")
	case errors.As(err, &skipped):
		p = refuse(http.StatusConflict, "Nothing was done. "+skippedText(skipped))
	case errors.Is(err, queue.ErrUnavailable):
		p = refuse(http.StatusServiceUnavailable, "The store of the relay cannot be reached now.")
	case errors.As(err, &tooLarge):
		p = refuse(http.StatusRequestEntityTooLarge, "The request is too large.")
	case errors.Is(err, context.DeadlineExceeded):
		p = refuse(http.StatusGatewayTimeout, "This took too long.")
	case errors.Is(err, context.Canceled):
		p = refuse(http.StatusServiceUnavailable, "The request was canceled.")
	default:
		x.console.log.Error("console: a request failed", "path", x.path, "error", err)
		p = refuse(http.StatusInternalServerError, errInternal)
		if x.access.Role == Operator {
			p.Detail += " " + err.Error()
		}
	}
	copied := *p
	copied.Type, copied.Title = "about:blank", http.StatusText(p.Status)
	return &copied
}

// fail writes an error, as JSON or as a page.
func (x *call) fail(err error) {
	p := x.problemOf(err)
	h := x.w.Header()
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.retry/time.Second)))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="console"`) // RFC 6750, 3
	}
	if x.json {
		x.writeJSON(p.Status, "application/problem+json", p)
		return
	}
	template := "problem.html"
	if p.Status == http.StatusUnauthorized && x.console.Authorize == nil {
		template = "login.html"
	}
	x.writePage(p.Status, template, p.Title, p)
}

package smtpclient

import (
	"bytes"
	"errors"
	"strings"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// relaxed returns dst for m. If the message has the header field "TLS-Required:
// No" (RFC 8689, 3), the policies that the receiving domain has published do not
// raise the level. The operator's level is never lowered. A REQUIRETLS option
// takes precedence over the field (RFC 8689, 4.1), except for tlsWanted.
func (t *Transport) relaxed(dst *Destination, m *Message) *Destination {
	p := t.policy(dst)
	if p.IgnorePublished {
		return dst
	}
	if l := t.level(dst); l != TLSOpportunistic && l != TLSEncrypt && t.TLSReport == nil {
		return dst // the field makes no difference
	}
	if m.Options.RequireTLS && m.From != "" || !tlsOptional(m.Content) {
		return dst
	}
	ignore := p // a copy, so that p does not escape to the heap
	ignore.IgnorePublished = true
	d := *dst
	d.TLS = &ignore
	return &d
}

// tlsWanted reports whether the message has REQUIRETLS but may be sent without
// it to a host that does not offer it. That is a report (null reverse-path) with
// "TLS-Required: No", which must not be lost (RFC 8689, 5).
func (m *Message) tlsWanted() bool {
	return m.Options.RequireTLS && m.From == "" && tlsOptional(m.Content)
}

// tlsOptional reports whether the header has a field TLS-Required with the value
// No (RFC 8689, 3). If there are several, all must have this value. It returns
// false for content that cannot be read; sending it then fails.
//
// It reads the header for each attempt, although the queue has read it at Submit:
// a message can come from the store, or from a caller that uses no queue.
func tlsOptional(c Content) bool {
	h := headers.Get().(*headerReader)
	defer headers.Put(h)
	h.b = h.b[:0]
	c.WriteTo(h)
	no, other := false, false
	for f := range header.All(header.Of(h.b, len(h.b) == headerMost)) {
		if !f.Is("TLS-Required") {
			continue
		}
		if strings.EqualFold(strings.TrimSpace(header.Unfold(f.Value())), "No") {
			no = true
		} else {
			other = true
		}
	}
	return no && !other
}

// headerMost is the maximum number of octets of the header that are searched
// for TLS-Required. Servers accept less: Postfix header_size_limit is 100 KiB.
const headerMost = 128 << 10

// headerReader is a Writer that keeps the header up to the blank line after it,
// and then returns errHeaderRead.
type headerReader struct{ b []byte }

var errHeaderRead = errors.New("header read")

var headers = sync.Pool{New: func() any { return new(headerReader) }}

func (h *headerReader) Write(p []byte) (int, error) {
	part := p[:min(len(p), headerMost-len(h.b))]
	if len(h.b) == 0 { // usually the whole header is in the first piece
		if i := bytes.Index(part, []byte("\r\n\r\n")); i >= 0 {
			part = part[:i+len("\r\n\r\n")]
		}
	}
	from := max(0, len(h.b)-3)
	h.b = append(h.b, part...)
	if bytes.Contains(h.b[from:], []byte("\r\n\r\n")) || len(h.b) == headerMost {
		return 0, errHeaderRead
	}
	return len(p), nil
}

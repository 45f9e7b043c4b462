package smtpclient

import (
	"bytes"
	"errors"
	"strings"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// relaxed is dst for m: where the message says "TLS-Required: No" (RFC 8689,
// 3), what the receiving domain has published does not raise the level. The
// operator's own level is never lowered, and a REQUIRETLS option goes before
// the field (RFC 8689, 4.1), but for tlsWanted.
func (t *Transport) relaxed(dst *Destination, m *Message) *Destination {
	p := t.policy(dst)
	if p.IgnorePublished {
		return dst
	}
	if l := t.level(dst); l != TLSOpportunistic && l != TLSEncrypt && t.TLSReport == nil {
		return dst // it would make no difference
	}
	if m.Options.RequireTLS && m.From != "" || !tlsOptional(m.Content) {
		return dst
	}
	ignore := p // another variable, so that p need not be on the heap
	ignore.IgnorePublished = true
	d := *dst
	d.TLS = &ignore
	return &d
}

// tlsWanted says whether the message has REQUIRETLS, but goes on without it
// where a host does not offer it: a report (it has the null reverse-path) that
// says "TLS-Required: No" must not be lost for that (RFC 8689, 5).
func (m *Message) tlsWanted() bool {
	return m.Options.RequireTLS && m.From == "" && tlsOptional(m.Content)
}

// tlsOptional says whether the header has a field TLS-Required with the value
// No (RFC 8689, 3). Where it has several, all must say so. Content that cannot
// be read has none: sending it will tell.
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

// headerMost bounds the header that is searched for TLS-Required. Servers
// accept less: Postfix header_size_limit is 100 KiB.
const headerMost = 128 << 10

// headerReader is a Writer that keeps what it is given up to the blank line
// behind the header, and then stops.
type headerReader struct{ b []byte }

var errHeaderRead = errors.New("header read")

var headers = sync.Pool{New: func() any { return new(headerReader) }}

func (h *headerReader) Write(p []byte) (int, error) {
	part := p[:min(len(p), headerMost-len(h.b))]
	if len(h.b) == 0 { // mostly the whole header is in the first piece
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

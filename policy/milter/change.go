package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A change is one that the milter wants, as it came.
type change struct {
	act  byte
	data []byte
}

func isChange(act byte) bool { return neededFor(act) != 0 }

// neededFor is the action that must have been agreed on.
func neededFor(act byte) uint32 {
	switch act {
	case actAddHeader, actInsHeader:
		return mayAddHeader
	case actChgHeader:
		return mayChgHeader
	case actReplBody:
		return mayChangeBody
	case actAddRcpt:
		return mayAddRcpt
	case actAddRcptPar:
		return mayAddRcptPar
	case actDelRcpt:
		return mayDelRcpt
	case actChangeFrom:
		return mayChangeFrom
	case actQuarantine:
		return mayQuarantine
	}
	return 0
}

// apply carries out the changes in their order. The message is to be refused
// when one of them cannot be: half of a milter's changes are none.
func (v *conversation) apply(s *smtpserver.Session, m *smtpserver.Message, changes []change) error {
	var body [][]byte
	for _, c := range changes {
		if v.actions&neededFor(c.act) == 0 {
			return fmt.Errorf("%w: the change %q was not agreed on", errProtocol, c.act)
		}
		if c.act == actReplBody {
			body = append(body, c.data)
			continue
		}
		if err := v.applyOne(s, m, c); err != nil {
			return fmt.Errorf("change %q: %w", c.act, err)
		}
	}
	if body != nil {
		b, err := normalize(slices.Concat(body...))
		if err != nil {
			return err
		}
		m.Body = content.Of(b)
	}
	return nil
}

func (v *conversation) applyOne(s *smtpserver.Session, m *smtpserver.Message, c change) error {
	switch c.act {
	case actAddHeader, actInsHeader, actChgHeader:
		return v.changeHeader(&m.Header, c)
	case actAddRcpt, actAddRcptPar:
		to, err := path(c.data)
		if err == nil {
			envelope.Add(s, m, to)
		}
		return err
	case actDelRcpt:
		to := strings.Trim(readStrings(c.data)[0], "<>")
		m.Recipients = slices.DeleteFunc(slices.Clone(m.Recipients), func(r smtpserver.Recipient) bool {
			return addr.Equal(r.Addr, to)
		})
		return nil
	case actChangeFrom:
		from, err := path(c.data)
		if err == nil {
			m.From = from
		}
		return err
	default: // actQuarantine
		if v.c.Quarantine == "" {
			return reply{act: actReject}.err()
		}
		if err := m.Header.Append(envelope.Fold("X-Quarantine-Reason", printable(readStrings(c.data)[0]))); err != nil {
			return err
		}
		envelope.Redirect(s, m, v.c.Quarantine)
		return nil
	}
}

// path reads "<address>"; what is empty is the null reverse-path.
func path(data []byte) (string, error) {
	a := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(readStrings(data)[0]), "<"), ">")
	if a == "" {
		return "", nil
	}
	return a, envelope.Valid(a)
}

func (v *conversation) changeHeader(h *smtpserver.Header, c change) error {
	data, index := c.data, 0
	if c.act != actAddHeader {
		if len(data) < 4 {
			return fmt.Errorf("%w: no index", errProtocol)
		}
		index, data = int(binary.BigEndian.Uint32(data)), data[4:]
	}
	parts := readStrings(data)
	if len(parts) < 2 {
		parts = append(parts, "")
	}
	name, value := parts[0], parts[1]
	raw := v.raw(name, value)
	switch c.act {
	case actAddHeader:
		return h.Append(raw)
	case actInsHeader:
		return insert(h, index, raw)
	}
	if value == "" {
		raw = ""
	}
	n, done := 0, false
	err := h.Replace(func(f smtpserver.Field) (string, bool) {
		if !f.Is(name) {
			return "", false
		}
		n++
		if n != max(index, 1) {
			return "", false
		}
		done = true
		return raw, true
	})
	if err == nil && !done {
		err = h.Append(raw) // as sendmail does where there is no such field
	}
	return err
}

// insert puts a field before the index-th, counted from 1. 0 is the same as
// 1: in sendmail's list the 0th is its own Received, which is not there yet.
func insert(h *smtpserver.Header, index int, raw string) error {
	if index <= 1 {
		return h.Prepend(raw)
	}
	n, done := 0, false
	err := h.Replace(func(f smtpserver.Field) (string, bool) {
		n++
		if n != index {
			return "", false
		}
		done = true
		return raw + string(f), true
	})
	if err == nil && !done {
		err = h.Append(raw)
	}
	return err
}

// raw makes a header field of the milter's form. A line break in the value
// stays a fold; whatever follows it cannot become a field of its own.
func (v *conversation) raw(name, value string) string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimRight(value, "\r\n"), "\r\n", "\n"), "\n")
	for i := range lines {
		if i > 0 && !strings.HasPrefix(lines[i], " ") && !strings.HasPrefix(lines[i], "\t") {
			lines[i] = "\t" + lines[i]
		}
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return len(lines) > 1 && strings.TrimSpace(l) == "" })
	space := " "
	if v.without(leadingSpace) {
		space = ""
	}
	return name + ":" + space + strings.Join(lines, "\r\n") + "\r\n"
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// normalize makes each line end CRLF: what a milter sends may have LF alone.
func normalize(b []byte) ([]byte, error) {
	if bytes.IndexByte(b, 0) >= 0 {
		return nil, errors.New("the new body has a NUL")
	}
	lf := bytes.Count(b, []byte("\n"))
	if crlf := bytes.Count(b, []byte("\r\n")); crlf == lf && crlf == bytes.Count(b, []byte("\r")) {
		return b, nil
	}
	b = bytes.ReplaceAll(b, []byte("\r"), nil)
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), nil
}

package milter

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	gomilter "github.com/emersion/go-milter"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// isChange reports whether a packet with this code requests a change.
func isChange(code byte) bool {
	return code == actAddRcptPar || neededFor(gomilter.ModifyActCode(code)) != 0
}

// neededFor returns the actions of which one must have been negotiated for a
// change. It is 0 if the code is not a change.
func neededFor(code gomilter.ModifyActCode) gomilter.OptAction {
	switch code {
	case gomilter.ActAddHeader, gomilter.ActInsertHeader:
		return gomilter.OptAddHeader
	case gomilter.ActChangeHeader:
		return gomilter.OptChangeHeader
	case gomilter.ActReplBody:
		return gomilter.OptChangeBody
	case gomilter.ActAddRcpt:
		return gomilter.OptAddRcpt | gomilter.OptAddRcptWithArgs
	case gomilter.ActDelRcpt:
		return gomilter.OptRemoveRcpt
	case gomilter.ActChangeFrom:
		return gomilter.OptChangeFrom
	case gomilter.ActQuarantine:
		return gomilter.OptQuarantine
	}
	return 0
}

// apply makes the changes in their order. If one of them fails, the message must
// not pass, because it may be partly changed.
func (v *conversation) apply(s *smtpserver.Session, m *smtpserver.Message, changes []gomilter.ModifyAction) error {
	var body [][]byte
	var quarantine *gomilter.ModifyAction
	rcpts := rcptChanges{s: s, m: m}
	for i, c := range changes {
		if !v.session.ActionOption(neededFor(c.Code)) {
			return fmt.Errorf("%w: the change %q was not negotiated", errProtocol, c.Code)
		}
		switch c.Code {
		case gomilter.ActReplBody:
			body = append(body, c.Body)
			continue
		case gomilter.ActQuarantine: // after all other changes
			quarantine = &changes[i]
			continue
		case gomilter.ActAddRcpt, gomilter.ActDelRcpt:
			if err := rcpts.add(c); err != nil {
				return fmt.Errorf("change %q: %w", c.Code, err)
			}
			continue
		}
		if err := v.applyOne(s, m, c); err != nil {
			return fmt.Errorf("change %q: %w", c.Code, err)
		}
	}
	rcpts.apply()
	if body != nil {
		b, err := normalize(slices.Concat(body...))
		if err != nil {
			return err
		}
		m.Body = content.Of(b)
	}
	if quarantine != nil && len(m.Recipients) > 0 {
		return v.quarantine(s, m, quarantine.Reason)
	}
	return nil
}

// quarantine sends the message to Client.Quarantine.
func (v *conversation) quarantine(s *smtpserver.Session, m *smtpserver.Message, reason string) error {
	if v.c.Quarantine == "" {
		return reply{code: gomilter.ActReject}.err()
	}
	if err := m.Header.Append(envelope.Fold("X-Quarantine-Reason", printable(reason))); err != nil {
		return err
	}
	return envelope.Quarantine(s, m, v.c.Quarantine)
}

func (v *conversation) applyOne(s *smtpserver.Session, m *smtpserver.Message, c gomilter.ModifyAction) error {
	switch c.Code {
	case gomilter.ActChangeFrom:
		from := path(c.From)
		if from != "" {
			if err := envelope.Valid(from); err != nil {
				return err
			}
		}
		m.From = from
		return nil
	default:
		return v.changeHeader(&m.Header, c)
	}
}

// A rcptChanges collects changes of recipients that follow each other and are of one
// kind, because each change on its own would search all recipients.
type rcptChanges struct {
	s         *smtpserver.Session
	m         *smtpserver.Message
	code      gomilter.ModifyActCode
	addresses []string
}

// add adds a change. It applies the changes before it if they are of the other kind.
func (r *rcptChanges) add(c gomilter.ModifyAction) error {
	to := path(c.Rcpt)
	if c.Code == gomilter.ActAddRcpt {
		if err := envelope.Valid(to); err != nil {
			return err
		}
	}
	if c.Code != r.code {
		r.apply()
		r.code = c.Code
	}
	r.addresses = append(r.addresses, to)
	return nil
}

// apply makes the collected changes.
func (r *rcptChanges) apply() {
	switch {
	case len(r.addresses) == 0:
	case r.code == gomilter.ActAddRcpt:
		envelope.Add(r.s, r.m, r.addresses...)
	default:
		envelope.Remove(r.m, r.addresses...)
	}
	r.addresses = nil
}

// path reads "<address>"; "<>" is the null reverse-path.
func path(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">")
}

func (v *conversation) changeHeader(h *smtpserver.Header, c gomilter.ModifyAction) error {
	if header.CheckName(c.HeaderName) != nil {
		return fmt.Errorf("%w: header field name %.80q", errProtocol, c.HeaderName)
	}
	index := max(int64(c.HeaderIndex), 1)
	raw := v.raw(c.HeaderName, c.HeaderValue)
	switch c.Code {
	case gomilter.ActAddHeader:
		return h.Append(raw)
	case gomilter.ActInsertHeader:
		return insert(h, index, raw)
	}
	if c.HeaderValue == "" {
		raw = ""
	}
	n, done := int64(0), false
	err := h.Replace(func(f smtpserver.Field) (string, bool) {
		if !f.Is(c.HeaderName) {
			return "", false
		}
		n++
		if n != index {
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

// insert inserts a field before the field with this index, counted from 1. The
// caller replaces 0 by 1: in sendmail, field 0 is its own Received field, which
// does not exist here yet.
func insert(h *smtpserver.Header, index int64, raw string) error {
	if index == 1 {
		return h.Prepend(raw)
	}
	n, done := int64(0), false
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

// raw makes a header field from the milter's form. A line break in the value
// becomes a fold, so that the text after it cannot become another field.
func (v *conversation) raw(name, value string) string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimRight(value, "\r\n"), "\r\n", "\n"), "\n")
	for i := range lines {
		if i > 0 && !strings.HasPrefix(lines[i], " ") && !strings.HasPrefix(lines[i], "\t") {
			lines[i] = "\t" + lines[i]
		}
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return len(lines) > 1 && strings.TrimSpace(l) == "" })
	space := " "
	if v.without(gomilter.OptHeaderLeadingSpace) {
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

// normalize makes each line end CRLF, because milters may send bare LF.
func normalize(b []byte) ([]byte, error) {
	if bytes.IndexByte(b, 0) >= 0 {
		return nil, errors.New("the new body contains NUL")
	}
	lf := bytes.Count(b, []byte("\n"))
	if crlf := bytes.Count(b, []byte("\r\n")); crlf == lf && crlf == bytes.Count(b, []byte("\r")) {
		return b, nil
	}
	b = bytes.ReplaceAll(b, []byte("\r"), nil)
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), nil
}

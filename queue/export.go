package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// The fields at the start of an exported message. They contain its envelope, as
// in the Replay folder of Exchange.
const (
	fieldSender    = "X-Sender"
	fieldReceiver  = "X-Receiver"
	fieldCreatedBy = "X-CreatedBy"
	fieldHelo      = "X-HeloDomain"
	fieldSource    = "X-Source"
	fieldSourceIP  = "X-SourceIPAddress"
	fieldEnd       = "X-EndOfInjectedXHeaders"

	// Exchange does not know these.
	fieldLabel    = "X-Bridgehead-Label"           // key="value", quoted as in Go
	fieldIdentity = "X-Bridgehead-Identity"        // quoted as in Go
	fieldInternal = "X-Bridgehead-Internal"        // true, or the field is missing
	fieldServerIP = "X-Bridgehead-ServerIPAddress" // of this relay, which got the message
)

// Export writes a message with its envelope: first X- fields with the sender,
// the recipients and their parameters, and then the unchanged content. The
// recipients are those that wait. If no recipient waits, they are all
// recipients that are not delivered. Import and the replay folder
// (queue/pickup) read this format. The imported message has the same Origin, except
// that the connector is "replay" and that there is no protocol.
func Export(w io.Writer, m *Message) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: <%s>%s\r\n", fieldSender, m.From, mailParams(m))
	rcpts := those(m.Recipients, func(r *Recipient) bool { return r.Status == Waiting })
	if len(rcpts) == 0 {
		rcpts = those(m.Recipients, func(r *Recipient) bool { return r.Status != Delivered })
	}
	for _, r := range rcpts {
		fmt.Fprintf(&b, "%s: <%s>%s\r\n", fieldReceiver, r.Addr, rcptParams(r))
	}
	fmt.Fprintf(&b, "%s: Bridgehead\r\n", fieldCreatedBy)
	for _, f := range [...]struct{ name, value string }{
		{fieldHelo, m.Origin.ClientHelo}, {fieldSource, m.Origin.Connector}, {fieldSourceIP, m.Origin.ClientAddr},
		{fieldServerIP, m.Origin.ServerAddr}, {fieldIdentity, quoted(m.Origin.Identity)}, {fieldInternal, trueOrNone(m.Origin.Internal)},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", f.name, chars.OneLine(f.value))
		}
	}
	for _, key := range envelope.SortedKeys(m.Options.Labels) {
		fmt.Fprintf(&b, "%s: %s=%s\r\n", fieldLabel, key, strconv.QuoteToASCII(m.Options.Labels[key]))
	}
	fmt.Fprintf(&b, "%s: %s\r\n", fieldEnd, m.ID)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	_, err := m.Content.WriteTo(w)
	return err
}

// quoted returns a text in quotes; "" if it is empty.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return strconv.QuoteToASCII(text)
}

func trueOrNone(b bool) string {
	if b {
		return "true"
	}
	return ""
}

func mailParams(m *Message) string {
	var b strings.Builder
	o := &m.Options
	if o.Body != "" {
		b.WriteString(" BODY=" + string(o.Body))
	}
	if o.UTF8 {
		b.WriteString(" SMTPUTF8")
	}
	if o.RequireTLS {
		b.WriteString(" REQUIRETLS")
	}
	if o.Return != "" {
		b.WriteString(" RET=" + string(o.Return))
	}
	if o.EnvelopeID != "" {
		b.WriteString(" ENVID=" + xtext.Encode(o.EnvelopeID))
	}
	if m.Options.Priority != 0 {
		b.WriteString(" MT-PRIORITY=" + strconv.Itoa(m.Options.Priority))
	}
	return b.String()
}

func rcptParams(r *Recipient) string {
	var b strings.Builder
	for i, n := range r.Options.Notify {
		b.WriteString([]string{" NOTIFY=", ","}[min(i, 1)] + string(n))
	}
	if o := r.Options.OriginalRecipient; o != "" {
		typ := r.Options.OriginalRecipientType
		if typ == "" {
			typ = smtp.DSNAddressTypeRFC822
		}
		if typ == smtp.DSNAddressTypeUTF8 {
			o = xtext.EncodeUTF8Addr(o, true)
		} else {
			o = xtext.Encode(o)
		}
		b.WriteString(" ORCPT=" + string(typ) + ";" + o)
	}
	return b.String()
}

// importMost is the maximum number of bytes of the fields at the start of an
// exported message.
const importMost = 4 << 20

// Import reads a message that Export or Exchange has written, and returns it
// for Submit. An error contains the number of the wrong line. A line may have at
// most 64 KiB, and all fields together at most 4 MiB.
func Import(c Content) (*Message, error) {
	m := &Message{Origin: Origin{Connector: "replay"}}
	sender, off := false, int64(0)
	buf := make([]byte, 64<<10)
	for line := 1; off < importMost; line++ {
		n, err := c.ReadAt(buf, off)
		end := bytes.IndexByte(buf[:n], '\n')
		if end < 0 {
			if err != nil && err != io.EOF {
				return nil, err
			}
			return nil, fmt.Errorf("queue: import: line %d: no %s before the end, or a line longer than %d bytes", line, fieldEnd, len(buf))
		}
		off += int64(end) + 1
		name, value, ok := strings.Cut(strings.TrimRight(string(buf[:end]), "\r\n"), ":")
		if !ok || !strings.HasPrefix(strings.ToLower(name), "x-") {
			return nil, fmt.Errorf("queue: import: line %d: not an X- field before %s", line, fieldEnd)
		}
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, fieldSender):
			if sender {
				return nil, fmt.Errorf("queue: import: line %d: a second %s", line, fieldSender)
			}
			sender = true
			err = m.importSender(value)
		case strings.EqualFold(name, fieldReceiver):
			err = m.importReceiver(value)
		case strings.EqualFold(name, fieldHelo):
			m.Origin.ClientHelo = value
		case strings.EqualFold(name, fieldSourceIP):
			m.Origin.ClientAddr = value
		case strings.EqualFold(name, fieldServerIP):
			m.Origin.ServerAddr = value
		case strings.EqualFold(name, fieldIdentity):
			if m.Origin.Identity, err = strconv.Unquote(value); err != nil {
				err = errors.New(fieldIdentity + " is not in quotes")
			}
		case strings.EqualFold(name, fieldInternal):
			if m.Origin.Internal = value == "true"; !m.Origin.Internal {
				err = errors.New(fieldInternal + " is not true")
			}
		case strings.EqualFold(name, fieldLabel):
			err = m.importLabel(value)
		case strings.EqualFold(name, fieldEnd):
			if !sender || len(m.Recipients) == 0 {
				return nil, fmt.Errorf("queue: import: line %d: no %s or no %s before it", line, fieldSender, fieldReceiver)
			}
			m.Content = rest(c, off)
			return m, nil
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("queue: import: line %d: %w", line, err)
		}
	}
	return nil, fmt.Errorf("queue: import: more than %d bytes before %s", importMost, fieldEnd)
}

// rest returns the content after the first off bytes.
func rest(c Content, off int64) Content {
	if cc, ok := c.(*content.Content); ok {
		return cc.Slice(off, cc.Size()-off)
	}
	return content.Section(c, off, c.Size()-off)
}

// readPath reads a path of an exported message. Export writes paths as in an
// SMTP command. Exchange writes addresses without angle brackets.
func readPath(s string, read func(string, bool) (address, rest string, err error)) (address, params string, err error) {
	if address, params, err = addr.WirePath(s); err == nil {
		return address, params, nil
	}
	return read(s, true)
}

func (m *Message) importLabel(field string) error {
	key, quoted, _ := strings.Cut(field, "=")
	value, err := strconv.Unquote(quoted)
	if err != nil {
		return fmt.Errorf("%s is not of the form key=\"value\"", fieldLabel)
	}
	m.Options.SetLabel(key, value)
	return envelope.CheckLabels(m.Options.Labels)
}

func (m *Message) importSender(value string) (err error) {
	var params string
	if m.From, params, err = readPath(value, addr.ReversePath); err != nil {
		return err
	}
	for p := range strings.FieldsSeq(params) {
		key, v, _ := strings.Cut(p, "=")
		switch strings.ToUpper(key) {
		case "BODY":
			m.Options.Body = smtp.BodyType(strings.ToUpper(v))
		case "SMTPUTF8":
			m.Options.UTF8 = true
		case "REQUIRETLS":
			m.Options.RequireTLS = true
		case "RET":
			m.Options.Return = smtp.DSNReturn(strings.ToUpper(v))
		case "ENVID":
			if m.Options.EnvelopeID, err = xtext.Decode(v); err != nil {
				return err
			}
		case "MT-PRIORITY":
			if m.Options.Priority, err = strconv.Atoi(v); err != nil || m.Options.Priority < -9 || m.Options.Priority > 9 {
				return fmt.Errorf("MT-PRIORITY=%s is not -9 to 9", v)
			}
		case "SIZE", "AUTH":
			// only meaningful in the session that has ended
		default:
			return fmt.Errorf("unknown parameter %s", key)
		}
	}
	return nil
}

func (m *Message) importReceiver(value string) error {
	to, params, err := readPath(value, addr.ForwardPath)
	if err != nil {
		return err
	}
	if to == "" {
		return errors.New("no address")
	}
	r := &Recipient{Addr: to}
	for p := range strings.FieldsSeq(params) {
		key, v, _ := strings.Cut(p, "=")
		switch strings.ToUpper(key) {
		case "NOTIFY":
			for n := range strings.SplitSeq(strings.ToUpper(v), ",") {
				switch n := smtp.DSNNotify(n); n {
				case smtp.DSNNotifyNever, smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed:
					r.Options.Notify = append(r.Options.Notify, n)
				default:
					return fmt.Errorf("NOTIFY=%s", v)
				}
			}
		case "ORCPT":
			typ, a, ok := strings.Cut(v, ";")
			if !ok {
				return fmt.Errorf("ORCPT=%s has no type", v)
			}
			r.Options.OriginalRecipientType = smtp.DSNAddressType(strings.ToUpper(typ))
			decode := xtext.Decode
			if r.Options.OriginalRecipientType == smtp.DSNAddressTypeUTF8 {
				decode = xtext.DecodeUTF8Addr
			}
			if r.Options.OriginalRecipient, err = decode(a); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown parameter %s", key)
		}
	}
	m.Recipients = append(m.Recipients, r)
	return nil
}

// ErrNotSuspended is the error of [Queue.Export] for a message that is not
// suspended, poison or bad mail. Such a message could be delivered twice: by
// this Queue and from the exported copy.
var ErrNotSuspended = errors.New("queue: the message is not suspended")

// Export writes a message to w, in the format of the function [Export]. The
// message must be suspended, poison or bad mail; otherwise the error is
// ErrNotSuspended. It stays in the queue.
func (q *Queue) Export(ctx context.Context, id string, w io.Writer) error {
	info, err := q.Message(ctx, id)
	if err != nil {
		return err
	}
	if !aside(info.stored) {
		return fmt.Errorf("%w: %s is %s", ErrNotSuspended, id, info.Status)
	}
	m, err := q.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	if err := Export(w, m); err != nil {
		return err
	}
	q.emit(EventOperation, m, m.Recipients, func(e *Event) { e.Text = "export" })
	return nil
}

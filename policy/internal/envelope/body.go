package envelope

import (
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// An Edit replaces the bytes [Start, End) of a message's content by New.
type Edit struct {
	Start, End int64
	New        []byte
}

// EditBody applies edits to the body of m. The edits must be sorted by Start and
// lie within the body. EditBody ignores an edit that begins within the range of an
// earlier one. It does not change other bytes.
func EditBody(m *smtpserver.Message, edits []Edit) {
	if len(edits) == 0 {
		return
	}
	body := Body(m)
	shift := m.Content().Size() - body.Size()
	var pieces []*content.Content
	at := int64(0)
	for _, e := range edits {
		start, end := e.Start-shift, e.End-shift
		if start < at {
			continue
		}
		pieces = append(pieces, body.Slice(at, start-at), content.Of(e.New))
		at = end
	}
	m.Body = content.Join(append(pieces, body.Slice(at, body.Size()-at))...)
}

// SetBody replaces the body of m. It adds the blank line between header and body
// if the message had none.
func SetBody(m *smtpserver.Message, body *content.Content) error {
	var head []byte
	for _, f := range m.Header.Fields() {
		head = append(head, f...)
	}
	return m.SetContent(content.Join(content.Of(append(head, "\r\n"...)), body))
}

// Body returns m.Body as a content.Content.
func Body(m *smtpserver.Message) *content.Content {
	switch b := m.Body.(type) {
	case nil:
		return new(content.Content)
	case *content.Content:
		return b
	default:
		return content.Section(b, 0, b.Size())
	}
}

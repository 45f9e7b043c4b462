package envelope

import (
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// An Edit puts New into the place of [Start, End) of a message's content.
type Edit struct {
	Start, End int64
	New        []byte
}

// EditBody carries out edits, in order of their Start, which must lie within
// the body. One that begins within what another has replaced is left out. All
// other bytes stay what and where they are.
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

// SetBody puts body into the place of the message's own, with a blank line
// before it also where there was none.
func SetBody(m *smtpserver.Message, body *content.Content) error {
	var head []byte
	for _, f := range m.Header.Fields() {
		head = append(head, f...)
	}
	return m.SetContent(content.Join(content.Of(append(head, "\r\n"...)), body))
}

// Body is m.Body as a content.Content.
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

package smtpclient

import "github.com/bridgehead-mail/bridgehead/internal/content"

// String returns a Content with the bytes of s: a header, an empty line and a
// body.
func String(s string) Content { return content.Of([]byte(s)) }

// Bytes returns a Content that consists of the chunks. The chunks must not change
// afterwards.
func Bytes(chunks ...[]byte) Content { return content.Of(chunks...) }

// File returns a Content with the bytes of a file. The file is open only while it
// is read, so there is nothing to close. It must not change before the message is
// sent: if it does, the recipients do not get the message.
func File(name string) (Content, error) {
	c, err := content.File(name)
	if err != nil {
		return nil, err
	}
	return c, nil
}

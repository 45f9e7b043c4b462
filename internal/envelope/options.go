package envelope

import (
	"time"

	"github.com/emersion/go-smtp"
)

// Options are the attributes of a message that apply to all of its recipients.
type Options struct {
	// MailOptions are the parameters of the MAIL command that go-smtp defines.
	smtp.MailOptions

	// Priority is the MT-PRIORITY (RFC 6710) of the message, from -9 to 9.
	// Higher priorities are delivered first. 0 is normal.
	Priority int
	// Release is the earliest time of the first delivery attempt (FUTURERELEASE,
	// RFC 4865). Zero means that the first attempt is made at once. It is not
	// sent to the next hop.
	Release time.Time
	// Labels are data of the application, for example the tenant or the campaign
	// of the message. They are stored with the message, and appear in events, in
	// the tracking log and in lists, but they are never sent. A message has at
	// most 32 labels. A key has 1 to 64 ASCII letters, digits, '-', '_', '.' and
	// '/'. A value has at most 256 bytes of UTF-8 without control characters.
	// The map must not change after the message was submitted.
	Labels map[string]string
}

// SetLabel sets one of the Labels.
func (o *Options) SetLabel(key, value string) {
	if o.Labels == nil {
		o.Labels = make(map[string]string)
	}
	o.Labels[key] = value
}

// RcptOptions are the attributes of one recipient of a message.
type RcptOptions struct {
	// RcptOptions are the parameters of the RCPT command that go-smtp defines.
	smtp.RcptOptions
}

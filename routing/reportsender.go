package routing

import (
	"github.com/emersion/go-smtp"
)

// withSender is the job with the connector's ReportSender in place of the null
// reverse-path. Only this attempt has it: for the queue, the message remains
// one on which no report is sent. As no report is due, its recipients ask for
// none (RFC 3461, 6).
func (c *connector) withSender(j *Job) *Job {
	if c.ReportSender == "" || j.Message.From != "" {
		return j
	}
	k := *j
	k.Message, k.Recipients = copyOf(j.Message, j.Recipients)
	k.Message.From = c.ReportSender
	for _, r := range k.Recipients {
		r.Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyNever}
	}
	return &k
}

package routing

import (
	"github.com/emersion/go-smtp"
)

// withSender returns the job with ReportSender instead of the null
// reverse-path. This applies only to this attempt: the queue still never
// reports on the message. The recipients therefore request no DSN (RFC 3461,
// 6).
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

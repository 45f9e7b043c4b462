// Package pickup submits the files that appear in a folder: the doors by which
// programs that speak no SMTP send mail, and by which an operator gives a
// queue messages again that were exported.
//
//	p := &pickup.Folder{Dir: "/var/spool/pickup", Submit: q.Submit}
//	go p.Run(ctx)
//	r := &pickup.Folder{Dir: "/var/spool/replay", Submit: q.Submit, Replay: true}
//	go r.Run(ctx)
//
// A file must be complete when it appears as NAME.eml: write it under another
// name, or in another folder of the same file system, and rename it. It is
// renamed to NAME.tmp while it is in hand, removed when the queue has taken
// the message over, and renamed to NAME.bad when it is no message that can be
// sent; NAME.bad.txt then says why. Where a name is taken, it is NAME-1.
//
// In a pickup folder the envelope comes from the header: Sender or From, and
// To, Cc and Bcc, of which Bcc is removed. In a replay folder the X- fields
// that queue.Export writes have it.
package pickup

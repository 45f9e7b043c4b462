// Package pickup submits the files that appear in a folder. Programs without
// SMTP use a pickup folder to send mail. Operators use a replay folder to
// submit messages that were exported from a queue.
//
//	p := &pickup.Folder{Dir: "/var/spool/pickup", Submit: q.Submit}
//	go p.Run(ctx)
//	r := &pickup.Folder{Dir: "/var/spool/replay", Submit: q.Submit, Replay: true}
//	go r.Run(ctx)
//
// A file must be complete when it appears as NAME.eml. So write it under another
// name, or in another folder of the same file system, and then rename it. While
// a file is being submitted, its name is NAME.tmp. When the queue has accepted
// the message, the file is removed. A file that can never be submitted is renamed
// to NAME.bad, and NAME.bad.txt says why. If a name is in use, NAME-1, NAME-2 and
// so on are tried. A Folder reads only regular files and follows no symbolic links.
//
// In a pickup folder the header determines the envelope. The reverse-path is the
// address in Sender or From. The recipients are in To, Cc and Bcc, and the Bcc
// field is removed. In a replay folder the envelope is in the X- fields that
// queue.Export writes.
package pickup

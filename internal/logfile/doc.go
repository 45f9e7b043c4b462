// Package logfile contains the common parts of logs in files: [Files], which
// rotates the files, and [AppendCell], which writes one cell of a line. The
// protocol logs, the message tracking log and the tracking of rules use it.
//
// A log is a file of comma-separated values (RFC 4180) with one line for each
// event. It is safe to view: a cell cannot end its line, control a terminal or
// change the direction of text, and a spreadsheet does not treat it as a
// formula. [Cell] reverts the escapes that this needs.
package logfile

"""Sets of images with boxes that are no films: read in other people's formats, checked, and written down without
identities. Whatever a format says of who is who is not even kept in memory."""

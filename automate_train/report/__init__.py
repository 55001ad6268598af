"""The comparison page `report.html` of a sweep, grids as pictures, and the config of the best run.

`assemble.write_page` is the place to begin reading. Nothing here changes the journal or an attempt's folder.
"""
